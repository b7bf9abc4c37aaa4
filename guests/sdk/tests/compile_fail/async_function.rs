use myweb::{Env, handler};

#[handler]
async fn application(_env: Env) -> &'static str {
    "hello"
}

fn main() {}
