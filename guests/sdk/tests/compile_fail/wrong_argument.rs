use myweb::handler;

#[handler]
fn application(name: String) -> String {
    name
}

fn main() {}
