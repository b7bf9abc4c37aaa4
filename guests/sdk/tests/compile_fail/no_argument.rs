use myweb::handler;

#[handler]
fn application() -> &'static str {
    "hello"
}

fn main() {}
