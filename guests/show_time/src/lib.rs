//! Tells the date and time, from the component's own clock.

use std::time::SystemTime;

use myweb::{Env, handler};

#[handler]
fn application(_env: Env) -> String {
    httpdate::fmt_http_date(SystemTime::now()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_the_time_of_now() {
        let before = SystemTime::now();
        let answer = application(Env::get("/"));
        let told = httpdate::parse_http_date(answer.trim_end()).expect("the answer is a date");
        let off = before.duration_since(told).expect("whole seconds are not after now");
        assert!(off.as_secs() < 60, "{answer}");
    }
}
