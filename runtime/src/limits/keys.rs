//! The names of the limits: one table for the flags, their environment
//! variables, the keys of the configuration file, its schema and the docs.

use std::time::Duration;

use super::Limits;
use crate::units::{Bytes, Flow, Rate, Span};

/// The name of a limit.
pub(crate) struct Key {
    /// Below `[limits]` in the file.
    pub(crate) name: &'static str,
    pub(crate) flag: &'static str,
    pub(crate) variable: &'static str,
    /// Where in the file it can be set.
    pub(crate) scope: Scope,
    /// What it bounds, and what happens beyond it.
    pub(crate) help: &'static str,
    field: fn(&mut Limits) -> Field<'_>,
}

/// The innermost place of the file where a limit can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Server,
    Tenant,
    Route,
}

/// A limit's place and kind.
enum Field<'a> {
    Size(&'a mut usize),
    /// Of a WebAssembly memory, which has addresses of 32 bits.
    Memory(&'a mut usize),
    Time(&'a mut Duration),
    /// With the smallest and the largest value.
    Count(&'a mut usize, usize, usize),
    Rate(&'a mut Option<Rate>),
    /// A part of something, unless it is said: which one, for people.
    Share(&'a mut Option<usize>, &'static str),
    /// Bytes a second.
    Flow(&'a mut usize),
}

const LARGEST_MEMORY: usize = 4 << 30;

macro_rules! keys {
    ($($name:literal $flag:literal $variable:literal $scope:ident $help:literal $field:expr;)*) => {
        /// All limits, in the order of the docs.
        pub(crate) const KEYS: &[Key] = &[$(Key {
            name: $name, flag: $flag, variable: $variable, scope: Scope::$scope, help: $help, field: $field,
        }),*];
    };
}

keys! {
    "cpu" "max-cpu" "MYWEB_MAX_CPU" Route "CPU time a request (then 504)" |l| Field::Time(&mut l.cpu);
    "wall" "max-wall" "MYWEB_MAX_WALL" Route "time to the answer (then 504)" |l| Field::Time(&mut l.wall);
    "memory" "max-memory" "MYWEB_MAX_MEMORY" Route "memory an instance (then 507)" |l| Field::Memory(&mut l.memory);
    "tenant-memory" "max-tenant-memory" "MYWEB_MAX_TENANT_MEMORY" Tenant "memory of all a tenant's instances, and bodies of requests and answers (then 503 or 507)" |l| Field::Size(&mut l.tenant_memory);
    "body" "max-body" "MYWEB_MAX_BODY" Route "a request's body (then 413)" |l| Field::Size(&mut l.body);
    "body-time" "max-body-time" "MYWEB_MAX_BODY_TIME" Route "time for a request's body (then 408)" |l| Field::Time(&mut l.body_time);
    "response" "max-response" "MYWEB_MAX_RESPONSE" Route "the body of an app's answer (then 502)" |l| Field::Size(&mut l.response);
    "log" "max-log" "MYWEB_MAX_LOG" Route "what a request may log; the rest is counted" |l| Field::Size(&mut l.log);
    "value" "max-value" "MYWEB_MAX_VALUE" Tenant "a value of key-value data (then an error for the guest)" |l| Field::Size(&mut l.value);
    "key-value" "max-key-value" "MYWEB_MAX_KEY_VALUE" Tenant "all of a tenant's key-value data, and 64 bytes a pair (then an error for the guest)" |l| Field::Size(&mut l.key_value);
    "log-rate" "max-log-rate" "MYWEB_MAX_LOG_RATE" Tenant "what a tenant's requests may log in a time; the rest is counted" |l| Field::Flow(&mut l.log_rate);
    "access-log-rate" "max-access-log-rate" "MYWEB_MAX_ACCESS_LOG_RATE" Tenant "lines of the access log about a tenant's requests in a time; the rest is counted" |l| Field::Flow(&mut l.access_log_rate);
    "concurrency" "max-concurrency" "MYWEB_MAX_CONCURRENCY" Tenant "requests of a tenant that run at the same time" |l| Field::Count(&mut l.concurrency, 1, 30_000);
    "queue" "max-queue" "MYWEB_MAX_QUEUE" Tenant "requests that wait for a place (then 503)" |l| Field::Count(&mut l.queue, 0, 1_000_000);
    "queue-time" "max-queue-time" "MYWEB_MAX_QUEUE_TIME" Tenant "time that they wait (then 503)" |l| Field::Time(&mut l.queue_time);
    "rate" "max-rate" "MYWEB_MAX_RATE" Tenant "requests of a tenant in a time (then 429)" |l| Field::Rate(&mut l.rate);
    "client-rate" "max-client-rate" "MYWEB_MAX_CLIENT_RATE" Tenant "requests to a tenant from one address in a time (then 429)" |l| Field::Rate(&mut l.client_rate);
    "headers" "max-headers" "MYWEB_MAX_HEADERS" Tenant "all headers of a request (then 431)" |l| Field::Size(&mut l.headers);
    "uri" "max-uri" "MYWEB_MAX_URI" Tenant "a request's target (then 414)" |l| Field::Size(&mut l.uri);
    "header-count" "max-header-count" "MYWEB_MAX_HEADER_COUNT" Server "the number of a request's headers (then 431)" |l| Field::Count(&mut l.header_count, 1, 10_000);
    "instance-idle" "max-instance-idle" "MYWEB_MAX_INSTANCE_IDLE" Route "time that a reused instance waits for its next request (then dropped)" |l| Field::Time(&mut l.instance_idle);
    "outbound" "max-outbound" "MYWEB_MAX_OUTBOUND" Route "requests that an app sends while it serves one (then an error)" |l| Field::Count(&mut l.outbound, 0, 1_000_000);
    "outbound-concurrency" "max-outbound-concurrency" "MYWEB_MAX_OUTBOUND_CONCURRENCY" Route "those of them at the same time; more wait" |l| Field::Count(&mut l.outbound_concurrency, 1, 10_000);
    "outbound-time" "max-outbound-time" "MYWEB_MAX_OUTBOUND_TIME" Route "time for one of them, to the end of its answer (then an error)" |l| Field::Time(&mut l.outbound_time);
    "header-time" "max-header-time" "MYWEB_MAX_HEADER_TIME" Server "time for a request's headers (then closed)" |l| Field::Time(&mut l.header_time);
    "idle-time" "max-idle-time" "MYWEB_MAX_IDLE_TIME" Server "time between two requests of a connection (then closed)" |l| Field::Time(&mut l.idle_time);
    "handshake-time" "max-handshake-time" "MYWEB_MAX_HANDSHAKE_TIME" Server "time for the handshake of TLS (then closed)" |l| Field::Time(&mut l.handshake_time);
    "transfer-rate" "min-transfer-rate" "MYWEB_MIN_TRANSFER_RATE" Server "the least that a client sends in a second, after 5s (then 408), or takes, after send-time (then closed)" |l| Field::Size(&mut l.transfer_rate);
    "send-time" "max-send-time" "MYWEB_MAX_SEND_TIME" Server "time in which a client takes none of an answer (then closed; over HTTP/2, that stream)" |l| Field::Time(&mut l.send_time);
    "connections" "max-connections" "MYWEB_MAX_CONNECTIONS" Server "connections at the same time; more wait" |l| Field::Count(&mut l.connections, 1, 1_000_000);
    "client-connections" "max-client-connections" "MYWEB_MAX_CLIENT_CONNECTIONS" Server "connections from one address at the same time (then closed)" |l| Field::Count(&mut l.client_connections, 1, 1_000_000);
    "file-cache" "file-cache" "MYWEB_FILE_CACHE" Server "small static files that are kept in memory" |l| Field::Size(&mut l.file_cache);
    "component" "max-component" "MYWEB_MAX_COMPONENT" Server "a component's file (then refused)" |l| Field::Size(&mut l.component);
    "compile-time" "max-compile-time" "MYWEB_MAX_COMPILE_TIME" Server "CPU time to compile a component (then refused)" |l| Field::Time(&mut l.compile_time);
    "compile-memory" "max-compile-memory" "MYWEB_MAX_COMPILE_MEMORY" Server "memory to compile a component (then refused)" |l| Field::Size(&mut l.compile_memory);
    "code" "max-code" "MYWEB_MAX_CODE" Server "compiled code that stays loaded; what is not asked for longest goes" |l| Field::Size(&mut l.code);
    "code-cache" "code-cache" "MYWEB_CODE_CACHE" Server "compiled code that is kept in the state directory" |l| Field::Size(&mut l.code_cache);
    "instances" "instances" "MYWEB_INSTANCES" Server "instances at the same time: the pool (then 503)" |l| Field::Count(&mut l.instances, 1, 30_000);
    "server-memory" "max-server-memory" "MYWEB_MAX_SERVER_MEMORY" Server "memory of all tenants and connections together (then 503)" |l| Field::Share(&mut l.server_memory, "3/4 of the machine's");
    "connection-memory" "max-connection-memory" "MYWEB_MAX_CONNECTION_MEMORY" Server "the part of server-memory for buffers, heads and streams of all connections (then streams are refused and slow connections closed)" |l| Field::Share(&mut l.connection_memory, "1/8 of server-memory");
    "drain" "drain" "MYWEB_DRAIN" Server "time for running requests to end when the server stops" |l| Field::Time(&mut l.drain);
}

impl Key {
    /// The limit of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Sets the limit from text.
    ///
    /// # Errors
    /// A sentence: what is wrong with the text, and how to write it.
    pub(crate) fn set(&self, limits: &mut Limits, text: &str) -> Result<(), String> {
        match (self.field)(limits) {
            Field::Size(size) => *size = text.parse::<Bytes>()?.0,
            Field::Memory(size) => match text.parse::<Bytes>()? {
                Bytes(bytes) if bytes > LARGEST_MEMORY => {
                    return Err("a WebAssembly memory has at most 4GiB: lower it".to_owned());
                }
                Bytes(bytes) => *size = bytes,
            },
            Field::Time(time) => *time = text.parse::<Span>()?.0,
            Field::Rate(rate) => *rate = Some(text.parse()?),
            Field::Share(size, _) => *size = Some(text.parse::<Bytes>()?.0),
            Field::Flow(flow) => *flow = text.parse::<Flow>()?.0,
            Field::Count(count, least, most) => {
                let number = text.parse().ok().filter(|number| (least..=most).contains(number));
                *count = number
                    .ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))?;
            }
        }
        Ok(())
    }

    /// The limit as it would be written.
    pub(crate) fn show(&self, limits: &Limits) -> String {
        match (self.field)(&mut limits.clone()) {
            Field::Size(size) | Field::Memory(size) => Bytes(*size).to_string(),
            Field::Time(time) => Span(*time).to_string(),
            Field::Rate(rate) => rate.map_or("none".to_owned(), |rate| rate.to_string()),
            Field::Share(size, usual) => {
                size.map_or((*usual).to_owned(), |size| Bytes(size).to_string())
            }
            Field::Flow(flow) => Flow(*flow).to_string(),
            Field::Count(count, ..) => count.to_string(),
        }
    }

    /// What a value looks like, in one word, for people.
    pub(crate) fn placeholder(&self) -> &'static str {
        match (self.field)(&mut Limits::default()) {
            Field::Size(_) | Field::Memory(_) | Field::Share(..) => "SIZE",
            Field::Time(_) => "TIME",
            Field::Rate(_) | Field::Flow(_) => "RATE",
            Field::Count(..) => "N",
        }
    }

    /// How a value is written.
    pub(crate) fn example(&self) -> &'static str {
        match (self.field)(&mut Limits::default()) {
            Field::Size(_) | Field::Memory(_) | Field::Share(..) => "64MiB",
            Field::Time(_) => "250ms",
            Field::Rate(_) => "200/s",
            Field::Flow(_) => "1MiB/s",
            Field::Count(..) => "64",
        }
    }

    /// The value, of those that are sizes or numbers.
    pub(crate) fn value(&self, limits: &Limits) -> Option<usize> {
        match (self.field)(&mut limits.clone()) {
            Field::Size(value) | Field::Memory(value) | Field::Count(value, ..) => Some(*value),
            Field::Share(value, _) => *value,
            Field::Time(_) | Field::Rate(_) | Field::Flow(_) => None,
        }
    }

    /// Whether the file has a number for it, not text.
    pub(crate) fn is_count(&self) -> bool {
        self.placeholder() == "N"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_reads_what_it_shows() {
        let mut limits = Limits {
            rate: Some(Rate { count: 1, per: Duration::from_secs(1) }),
            ..Limits::default()
        };
        limits.client_rate = limits.rate;
        (limits.server_memory, limits.connection_memory) = (Some(1 << 30), Some(1 << 20));
        for key in KEYS {
            let text = key.show(&limits);
            let mut read = limits.clone();
            assert_eq!(key.set(&mut read, &text), Ok(()), "{}", key.name);
            assert_eq!(read, limits, "{}", key.name);
        }
    }

    #[test]
    fn zero_and_less_are_refused() {
        for key in KEYS {
            for text in ["-1", "", "x"] {
                assert!(key.set(&mut Limits::default(), text).is_err(), "{} {text}", key.name);
            }
            let zero = key.set(&mut Limits::default(), "0");
            let may_be_zero = ["queue", "outbound"].contains(&key.name);
            assert_eq!(zero.is_ok(), may_be_zero, "{}", key.name);
        }
    }
}
