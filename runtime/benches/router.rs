//! What a look-up costs, by the number of routes: `cargo bench -p myweb-run`.

// The router is nobody's library: the bench takes its source.
#[allow(dead_code)]
#[path = "../src/router.rs"]
mod router;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;

use router::Router;

/// As many routes as said, of the three kinds in turn.
fn routes(count: usize) -> Router<usize> {
    let mut router = Router::new();
    for number in 0..count {
        let pattern = match number % 3 {
            0 => format!("/shop{number}/items"),
            1 => format!("/shop{number}/:item"),
            _ => format!("/shop{number}/*"),
        };
        router.add(&pattern, None, number);
    }
    router
}

fn find(criterion: &mut Criterion) {
    for count in [10, 100, 1_000, 10_000] {
        let router = routes(count);
        let mut group = criterion.benchmark_group(format!("{count} routes"));
        for (kind, path) in [
            ("literal", "/shop6/items"),
            ("parameter", "/shop4/red"),
            ("wildcard", "/shop5/a/b"),
            ("nothing", "/elsewhere"),
        ] {
            group.bench_function(kind, |bench| {
                bench.iter(|| router.find(black_box(path), &Method::GET).is_ok());
            });
        }
    }
}

criterion_group!(benches, find);
criterion_main!(benches);
