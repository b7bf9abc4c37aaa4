//! Counts visits in a bucket, by the first draft of `wasi:keyvalue`.

use wasi::keyvalue::{atomics, batch, store};

wit_bindgen::generate!({
    inline: "
        package tests:visits;
        world visits {
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
        }
    ",
    path: "../../../wit/deps/keyvalue",
    generate_all,
});

/// Which visit it is, and what is kept.
pub fn count() -> String {
    let counted = || {
        let bucket = store::open("visits")?;
        let count = atomics::increment(&bucket, "count", 1)?;
        let last = format!("the last was {count}");
        batch::set_many(&bucket, &[("last".to_owned(), last.into_bytes())])?;
        let keys = bucket.list_keys(None)?;
        let kept = batch::get_many(&bucket, &keys.keys)?.len();
        Ok(format!("visit {count}, {kept} keys\n"))
    };
    counted().unwrap_or_else(|error: store::Error| format!("{error:?}\n"))
}
