//! Does with its grants what the path says: key-value data, configuration,
//! environment, log.

use myweb::keyvalue::{Bucket, open};
use myweb::{Env, Error, config, handler, log};

#[handler]
fn application(env: Env) -> Result<String, Error> {
    let text = |name| env.query(name).unwrap_or_default().to_owned();
    let number = |name| env.query(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let key = text("key");
    match env.path() {
        "/config" => return Ok(config::get(&key).unwrap_or("none".to_owned())),
        "/config-all" => return Ok(format!("{:?}", config::all())),
        "/env" => return Ok(std::env::var(&key).unwrap_or("none".to_owned())),
        "/log" => {
            log::write(log::Level::Warn, &text("context"), "x".repeat(number("bytes")));
            log::error(text("text"));
            return Ok("logged".to_owned());
        }
        _ => {}
    }
    let bucket = match open(env.query("bucket").unwrap_or("visits")) {
        Ok(bucket) => bucket,
        Err(error) => return Ok(format!("error: {error}")),
    };
    let answer = match env.path() {
        "/visits" => bucket.increment("n", 1).map(|n| n.to_string()),
        "/increment" => {
            let delta = text("delta").parse().unwrap_or(1);
            bucket.increment(&key, delta).map(|n| n.to_string())
        }
        "/get" => bucket.get(&key).map(|value| match value {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "none".to_owned(),
        }),
        "/size" => {
            bucket.get(&key).map(|value| value.map_or("none".into(), |v| v.len().to_string()))
        }
        "/exists" => bucket.exists(&key).map(|there| there.to_string()),
        "/set" => bucket.set(&key, text("value")).map(|()| "set".to_owned()),
        "/set-large" => bucket.set(&key, vec![b'x'; number("bytes")]).map(|()| "set".to_owned()),
        "/delete" => bucket.delete(&key).map(|()| "deleted".to_owned()),
        "/append" => {
            let add = |old: Option<&[u8]>| [old.unwrap_or_default(), b"+"].concat();
            bucket.update(&key, add).map(|()| "appended".to_owned())
        }
        "/fill" => fill(&bucket, number("from"), number("count"), number("bytes")),
        "/delete-many" => {
            let keys: Vec<String> = (number("from")..number("to")).map(name).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            bucket.delete_many(&keys).map(|()| "deleted".to_owned())
        }
        "/get-many" => {
            let keys: Vec<String> = (number("from")..number("to")).map(name).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            bucket.get_many(&keys).map(|values| values.iter().flatten().count().to_string())
        }
        "/page" => bucket
            .keys(env.query("next"))
            .map(|page| format!("{}\n{}", page.next.unwrap_or_default(), page.keys.join("\n"))),
        "/loop" => loop {
            if let Err(error) = bucket.set(&key, text("value")) {
                break Err(error);
            }
        },
        _ => Err(Error::not_found("no such path")),
    };
    Ok(answer.unwrap_or_else(|error| format!("error: {error}")))
}

fn name(number: usize) -> String {
    format!("key-{number}")
}

/// Sets so many keys, a thousand at once.
fn fill(bucket: &Bucket, from: usize, count: usize, bytes: usize) -> Result<String, Error> {
    let value = vec![b'x'; bytes];
    let numbers: Vec<usize> = (from..from + count).collect();
    for numbers in numbers.chunks(1_000) {
        let keys: Vec<String> = numbers.iter().copied().map(name).collect();
        let pairs: Vec<(&str, &[u8])> = keys.iter().map(|key| (key.as_str(), &value[..])).collect();
        bucket.set_many(&pairs)?;
    }
    Ok("filled".to_owned())
}
