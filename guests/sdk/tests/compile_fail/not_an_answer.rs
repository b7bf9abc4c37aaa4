use myweb::{Env, handler};

#[handler]
fn application(_env: Env) -> f64 {
    0.5
}

fn main() {}
