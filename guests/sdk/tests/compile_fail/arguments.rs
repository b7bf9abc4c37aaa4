use myweb::{Env, handler};

#[handler("/path")]
fn application(_env: Env) -> &'static str {
    "hello"
}

fn main() {}
