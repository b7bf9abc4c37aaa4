//! Token buckets. Pure: the time is handed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::units::Rate;

/// Holds at most a rate's count of tokens and gains them at its pace.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// When the tokens were counted.
    at: Duration,
}

impl Bucket {
    fn full(rate: Rate, now: Duration) -> Bucket {
        Bucket { tokens: f64::from(rate.count), at: now }
    }

    fn fill(&mut self, rate: Rate, now: Duration) {
        let gained = now.saturating_sub(self.at).as_secs_f64() * per_second(rate);
        self.tokens = (self.tokens + gained).min(f64::from(rate.count));
        self.at = now;
    }

    /// Takes a token, or tells after which time there is one.
    fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.fill(rate, now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / per_second(rate)))
    }
}

fn per_second(rate: Rate) -> f64 {
    f64::from(rate.count) / rate.per.as_secs_f64()
}

/// Bytes that may flow at a pace, after a pause as many at once as in a second.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What flowed and is not made up for by the time that passed, in bytes.
    owed: f64,
    /// When that was counted.
    at: Duration,
}

impl Flow {
    /// Lets so many bytes flow, unless a second's were exceeded already.
    pub(crate) fn take(&mut self, bytes: usize, a_second: usize, now: Duration) -> bool {
        let made_up = now.saturating_sub(self.at).as_secs_f64() * a_second as f64;
        (self.owed, self.at) = ((self.owed - made_up).max(0.0), now);
        let may = self.owed < a_second as f64;
        if may {
            self.owed += bytes as f64;
        }
        may
    }
}

/// The buckets of a tenant: its own, and one for each client address.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    all: Option<Bucket>,
    clients: HashMap<IpAddr, Bucket>,
}

/// Addresses that are kept in mind. Beyond it the ones with full buckets are
/// forgotten, which changes nothing for them, and then all.
const MOST_CLIENTS: usize = 10_000;

impl Buckets {
    /// Takes a token of each rate that is set. `now` is a time since any fixed
    /// moment.
    ///
    /// # Errors
    /// After this time there is a token.
    pub(crate) fn take(
        &mut self,
        all: Option<Rate>,
        client: Option<Rate>,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), Duration> {
        // The client's first: what one client has too much must not cost the
        // others a token.
        if let Some(rate) = client {
            self.forget(rate, now);
            let bucket = self.clients.entry(network(address));
            bucket.or_insert_with(|| Bucket::full(rate, now)).take(rate, now)?;
        }
        match all {
            Some(rate) => self.all.get_or_insert_with(|| Bucket::full(rate, now)).take(rate, now),
            None => Ok(()),
        }
    }

    fn forget(&mut self, rate: Rate, now: Duration) {
        if self.clients.len() < MOST_CLIENTS {
            return;
        }
        self.clients.retain(|_, bucket| {
            bucket.fill(rate, now);
            bucket.tokens < f64::from(rate.count)
        });
        if self.clients.len() >= MOST_CLIENTS {
            self.clients.clear();
        }
    }
}

/// One client has a whole IPv6 network of 64 bits (RFC 6177): it counts as one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Option<Rate> = Some(Rate { count: 2, per: Duration::from_secs(1) });

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_the_pace_counts() {
        let mut buckets = Buckets::default();
        let mut take = |millis| buckets.take(RATE, None, address("::1"), at(millis));
        assert_eq!(take(0), Ok(()));
        assert_eq!(take(0), Ok(()));
        assert_eq!(take(0), Err(at(500)));
        assert_eq!(take(500), Ok(()));
        assert!(take(600).is_err());
        assert_eq!([take(60_000), take(60_000)], [Ok(()), Ok(())]);
        assert!(take(60_000).is_err(), "no more than a burst gathers");
    }

    #[test]
    fn clients_have_buckets_of_their_own() {
        let mut buckets = Buckets::default();
        let mut take = |text| buckets.take(None, RATE, address(text), at(0)).is_ok();
        assert!(take("10.0.0.1") && take("10.0.0.1") && !take("10.0.0.1"));
        assert!(take("10.0.0.2"));
        assert!(take("2001:db8::1") && take("2001:db8::2") && !take("2001:db8::3"));
        assert!(take("2001:db8:0:1::1"));
        assert!(!take("::ffff:10.0.0.1"));
    }

    #[test]
    fn bytes_flow_at_their_pace_and_a_second_of_them_at_once() {
        let mut flow = Flow::default();
        let mut take = |bytes, millis| flow.take(bytes, 1_000, at(millis));
        assert!(take(600, 0) && take(600, 0) && !take(1, 0), "1,200 flowed");
        assert!(!take(1, 200) && take(500, 201) && !take(1, 201));
        assert!(take(5_000, 60_000) && !take(1, 63_999) && take(1, 64_001));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut buckets = Buckets::default();
        for host in 0..MOST_CLIENTS as u32 + 10 {
            let _ = buckets.take(None, RATE, IpAddr::V4(host.into()), at(0));
        }
        assert!(buckets.clients.len() <= MOST_CLIENTS);
    }
}
