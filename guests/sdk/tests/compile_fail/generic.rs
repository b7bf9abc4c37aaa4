use myweb::{Env, handler};

#[handler]
fn application<T>(_env: Env) -> &'static str {
    "hello"
}

fn main() {}
