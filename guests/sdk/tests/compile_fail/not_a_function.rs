use myweb::handler;

#[handler]
struct Application;

fn main() {}
