//! Key-value data in Redis, which several servers share. A bucket is a hash and
//! the set of its keys; scripts make each change in one step, with the quota.
//! How durable a change is that was answered is what Redis was told to be.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script, Value};

use super::payer::{Payer, estimate};
use super::told::Told;
use super::{Change, Changed, FAILED, Failure, PAIR, no_number, over_quota, too_much};
use crate::observe::ServerLog;
use crate::wasm::{Lease, Turns};

/// How long Redis has to take a connection, and to answer.
const CONNECTION: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// How often it is tried again to connect before an operation fails.
const RETRIES: usize = 1;
/// About how many keys a page has.
const PAGE: usize = 250;
/// Operations that wait for Redis at the same time, and how many of them may be `LONG`:
/// Redis itself serves them in the order in which they come.
const AT_ONCE: usize = 32;
const LONG_AT_ONCE: usize = 2;
/// Work that is more keeps others waiting.
const LONG: Duration = Duration::from_micros(250);

/// A database of Redis. Its connection is made when it is first needed, and again
/// when it breaks.
pub(super) struct Redis {
    client: Client,
    connection: Mutex<Option<ConnectionManager>>,
    apply: Script,
    read: Script,
    /// Where it is, for the log: the URL may have a password in it.
    shown: String,
    told: Told,
    /// Of all operations, and of the long ones, fair between tenants by their work.
    turns: Arc<Turns>,
    long_turns: Arc<Turns>,
}

/// The turns of an operation.
type Turn = (Lease, Option<Lease>);

impl Redis {
    /// # Errors
    /// The URL is none: a sentence says how to write it.
    pub(super) fn new(url: &str, log: Arc<ServerLog>) -> Result<Redis, String> {
        let write = "write it like redis://HOST:PORT/DB, rediss:// for TLS, or redis+unix:///PATH";
        let client = Client::open(url).map_err(|_| format!("no address of Redis; {write}"))?;
        let shown = format!("Redis at {}", client.get_connection_info().addr());
        let apply = Script::new(include_str!("apply.lua"));
        let read = Script::new(include_str!("read.lua"));
        Ok(Redis {
            client,
            connection: Mutex::default(),
            apply,
            read,
            shown,
            told: Told::new(log),
            turns: Arc::new(Turns::new(AT_ONCE)),
            long_turns: Arc::new(Turns::new(LONG_AT_ONCE)),
        })
    }

    /// Connects, so that what is wrong is told now.
    pub(super) fn start(self: Arc<Redis>) {
        tokio::spawn(async move {
            let ping = async |mut connection| redis::cmd("PING").query_async(&mut connection).await;
            let _: Result<String, Failure> = self.ask(ping).await;
        });
    }

    /// Waits until it is the tenant's turn for so much work.
    async fn turn(&self, payer: &Payer, work: Duration) -> Turn {
        let long = match work > LONG {
            true => Some(leased(&self.long_turns, payer, work).await),
            false => None,
        };
        (leased(&self.turns, payer, work).await, long)
    }

    pub(super) async fn read(
        &self,
        payer: &Payer,
        (tenant, bucket): (&str, &str),
        keys: &[String],
        most: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let mut script = self.read.key(pairs(tenant, bucket));
        script.arg(most).arg(keys);
        let _turn = self.turn(payer, estimate(keys.len(), 0)).await;
        let answer = self.ask(async |mut connection| script.invoke_async(&mut connection).await);
        match answer.await? {
            Value::BulkString(_) | Value::SimpleString(_) => Err(too_much(most)),
            values => redis::from_redis_value(values).map_err(|error| self.failed(&error)),
        }
    }

    pub(super) async fn exists(
        &self,
        payer: &Payer,
        (tenant, bucket): (&str, &str),
        key: &str,
    ) -> Result<bool, Failure> {
        let _turn = self.turn(payer, estimate(1, 0)).await;
        let mut command = redis::cmd("HEXISTS");
        command.arg(pairs(tenant, bucket)).arg(key);
        self.ask(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Some keys. One that is there all the while is listed at least once.
    pub(super) async fn list(
        &self,
        payer: &Payer,
        (tenant, bucket): (&str, &str),
        cursor: Option<u64>,
    ) -> Result<(Vec<String>, Option<u64>), Failure> {
        let mut cursor = cursor.unwrap_or(0);
        loop {
            // A listing takes a turn for each of its pages, as other operations do.
            let _turn = self.turn(payer, LONG).await;
            let mut command = redis::cmd("SSCAN");
            command.arg(keys(tenant, bucket)).arg(cursor).arg("COUNT").arg(PAGE);
            let page = self.ask(async |mut connection| command.query_async(&mut connection).await);
            let (next, keys): (u64, Vec<String>) = page.await?;
            // A page with nothing on it looks like the last one.
            if next == 0 || !keys.is_empty() {
                return Ok((keys, Some(next).filter(|next| *next != 0)));
            }
            cursor = next;
        }
    }

    pub(super) async fn change(
        &self,
        payer: &Payer,
        (tenant, bucket): (&str, &str),
        change: &Change,
        quota: u64,
    ) -> Result<Changed, Failure> {
        let _turn = self.turn(payer, estimate(change.keys().len(), change.size())).await;
        let mut script = self.apply.key(pairs(tenant, bucket));
        script.key(keys(tenant, bucket)).key(used(tenant)).arg(quota).arg(PAIR);
        let nothing = &[][..];
        match change {
            Change::Put(pairs) => {
                script.arg("put");
                for (key, value) in pairs {
                    let there = u8::from(value.is_some());
                    script.arg(key).arg(there).arg(value.as_deref().unwrap_or(nothing));
                }
            }
            Change::Increment(key, delta) => {
                script.arg("increment").arg(key).arg(*delta);
            }
            Change::Swap { key, seen, value } => {
                script.arg("swap").arg(key).arg(u8::from(seen.is_some()));
                script.arg(seen.as_deref().unwrap_or(nothing)).arg(value.as_slice());
            }
        }
        let answer = self.ask(async |mut connection| script.invoke_async(&mut connection).await);
        let answer: String = answer.await?;
        match answer.as_str() {
            "done" => Ok(Changed::Done),
            "not swapped" => Ok(Changed::NotSwapped),
            "no number" => Err(no_number()),
            "over quota" => Err(over_quota(quota)),
            sum => sum.parse().map(Changed::Sum).map_err(|_| no_number()),
        }
    }

    async fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(ConnectionManager) -> Result<T, RedisError>,
    ) -> Result<T, Failure> {
        let connection = self.connection().map_err(|error| self.failed(&error))?;
        let answer = ask(connection).await.map_err(|error| self.failed(&error))?;
        self.told.clear();
        Ok(answer)
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECTION))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(RETRIES);
        let new = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(connection.insert(new).clone())
    }

    fn failed(&self, error: &impl std::fmt::Display) -> Failure {
        self.told.say(format!("{}: {error}", self.shown));
        Failure::other(FAILED)
    }
}

async fn leased(turns: &Arc<Turns>, payer: &Payer, work: Duration) -> Lease {
    let mut lease = turns.ticket(payer.key()).lease().await;
    lease.took(work);
    lease
}

/// The braces let a cluster keep a tenant's data together.
fn pairs(tenant: &str, bucket: &str) -> String {
    format!("myweb:{{{tenant}}}:{bucket}:pairs")
}

fn keys(tenant: &str, bucket: &str) -> String {
    format!("myweb:{{{tenant}}}:{bucket}:keys")
}

fn used(tenant: &str) -> String {
    format!("myweb:{{{tenant}}}:used")
}
