//! The integration tests: they speak HTTP to the real binary, on a port of its
//! own choice. `cargo xtask test` builds the guests that they use.

#![allow(clippy::expect_used, reason = "what a test needs and does not get ends it")]
#![allow(clippy::print_stdout, reason = "long tests tell their figures")]

mod support;

mod apps;
mod broken;
mod clients;
mod config;
mod deploy;
mod guests;
mod hostile;
mod http2;
mod idle;
mod javascript;
mod judges;
mod keyvalue;
mod limits;
mod listeners;
mod logs;
mod outbound;
mod outside;
mod packing;
mod proxies;
mod python;
mod readme;
mod representations;
mod sandbox;
mod services;
mod soak;
mod statics;
mod stopping;
mod tenants;
mod tidy;
mod tls;
mod upgrade;
mod usage;
