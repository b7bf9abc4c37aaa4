//! Rates of requests, as token buckets: full, one has as many tokens as the
//! rate's count, and gains them at its pace. Pure: the time is handed in.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::units::Rate;

/// When a bucket will be full, if nothing more is taken: that alone tells how
/// many tokens it has now.
type FullAt = Duration;

/// Takes a token of a bucket.
///
/// # Errors
/// After this time there is a token.
fn take(bucket: &mut FullAt, rate: Rate, now: Duration) -> Result<(), Duration> {
    // The rate may be another than when the last token was taken.
    *bucket = (*bucket).clamp(now, now + rate.per);
    let full = *bucket + rate.per / rate.count.max(1);
    let late = full.saturating_sub(now + rate.per);
    if !late.is_zero() {
        return Err(late);
    }
    *bucket = full;
    Ok(())
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

/// A flow of lines that counts those that it did not let pass.
#[derive(Debug, Default)]
pub(crate) struct Metered {
    flow: Flow,
    /// Lines that were dropped since the last report of them.
    dropped: u64,
    /// The next report is not due before.
    report_at: Duration,
}

/// The pause between two reports of dropped lines.
const REPORT_EVERY: Duration = Duration::from_secs(1);

impl Metered {
    /// Lets a line of so many bytes pass, or counts it as dropped. With a line that
    /// passes comes the number of dropped lines to report, which is mostly 0.
    pub(crate) fn take(&mut self, bytes: usize, a_second: usize, now: Duration) -> Option<u64> {
        if !self.flow.take(bytes, a_second, now) {
            self.dropped += 1;
            return None;
        }
        if self.dropped == 0 || now < self.report_at {
            return Some(0);
        }
        self.report_at = now + REPORT_EVERY;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// The buckets of a tenant: its own, and one for each client address.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    all: FullAt,
    clients: Clients,
}

impl Buckets {
    /// Takes a token of each rate that is set. `now` is a time since any fixed
    /// moment.
    ///
    /// # Errors
    /// The limit that has no token left, and after what time it has one.
    pub(crate) fn take(
        &mut self,
        all: Option<Rate>,
        client: Option<Rate>,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), OverRate> {
        // The client's first: what one client has too much must not cost the
        // others a token.
        if let Some(rate) = client {
            let taken = self.clients.take(network(address), rate, now);
            taken.map_err(|after| OverRate { limit: "client-rate", rate, after })?;
        }
        if let Some(rate) = all {
            let taken = take(&mut self.all, rate, now);
            taken.map_err(|after| OverRate { limit: "rate", rate, after })?;
        }
        Ok(())
    }
}

/// A rate that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverRate {
    limit: &'static str,
    rate: Rate,
    /// When there is a token.
    pub(crate) after: Duration,
}

impl fmt::Display for OverRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OverRate { limit, rate, after } = self;
        write!(f, "more requests than {limit} = {rate}; there is room after {after:?}")
    }
}

/// Addresses whose buckets are kept; a tenant's take about a megabyte.
const MOST_CLIENTS: usize = 10_000;

/// A bucket for each client address that has taken of it lately, as many as are
/// kept. When there are more addresses, a new one takes over the fullest bucket,
/// as it is: nobody's is made fuller, so that all addresses together never get
/// more than so many buckets yield, and one that was emptied stays so until all
/// others are as empty.
#[derive(Debug, Default)]
struct Clients {
    buckets: HashMap<IpAddr, FullAt>,
    /// The same, the fullest first.
    order: BTreeSet<(FullAt, IpAddr)>,
}

impl Clients {
    fn take(&mut self, address: IpAddr, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.forget(now);
        let known = self.buckets.get(&address).copied();
        // Who is new finds a full bucket, as long as there is one.
        let fullest = self.order.first().copied();
        let taken_over = fullest.filter(|_| known.is_none() && self.buckets.len() >= MOST_CLIENTS);
        let mut bucket = known.or(taken_over.map(|(bucket, _)| bucket)).unwrap_or_default();
        let taken = take(&mut bucket, rate, now);
        let before = known.map(|bucket| (bucket, address));
        // Who is refused takes nothing over.
        if let Some((bucket, address)) = before.or(taken_over.filter(|_| taken.is_ok())) {
            self.remove(bucket, address);
        }
        if known.is_some() || taken.is_ok() {
            self.buckets.insert(address, bucket);
            self.order.insert((bucket, address));
        }
        taken
    }

    /// Forgets buckets that are full again, which changes nothing for anybody;
    /// two at a time, as none gets more than one at a time.
    fn forget(&mut self, now: Duration) {
        for _ in 0..2 {
            match self.order.first().copied() {
                Some((bucket, address)) if bucket <= now => self.remove(bucket, address),
                _ => return,
            }
        }
    }

    fn remove(&mut self, bucket: FullAt, address: IpAddr) {
        self.buckets.remove(&address);
        self.order.remove(&(bucket, address));
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

    /// The address of a number, below 2^32.
    fn host(number: usize) -> IpAddr {
        IpAddr::V4((number as u32).into())
    }

    #[test]
    fn a_burst_passes_and_then_the_pace_counts() {
        let mut buckets = Buckets::default();
        let mut take = |millis| {
            buckets.take(RATE, None, address("::1"), at(millis)).map_err(|over| over.after)
        };
        assert_eq!(take(0), Ok(()));
        assert_eq!(take(0), Ok(()));
        assert_eq!(take(0), Err(at(500)));
        assert_eq!(take(500), Ok(()));
        assert!(take(600).is_err());
        assert_eq!([take(60_000), take(60_000)], [Ok(()), Ok(())]);
        assert!(take(60_000).is_err(), "no more than a burst gathers");
    }

    #[test]
    fn a_changed_rate_keeps_what_was_taken() {
        let slow = Some(Rate { count: 2, per: Duration::from_secs(60) });
        let mut buckets = Buckets::default();
        let mut take = |rate, millis| buckets.take(rate, None, address("::1"), at(millis)).is_ok();
        assert!(take(slow, 0) && take(slow, 0) && !take(slow, 0));
        assert!(!take(RATE, 0), "it is empty by the new rate, too");
        assert!(take(RATE, 500) && !take(RATE, 500), "and fills at its pace");
        assert!(take(slow, 60_000));
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
    fn dropped_lines_are_counted_and_reported_once_a_second() {
        let mut lines = Metered::default();
        let mut take = |bytes, millis| lines.take(bytes, 1_000, at(millis));
        assert_eq!([take(1_000, 0), take(1, 0), take(1, 0)], [Some(0), None, None]);
        assert_eq!([take(1_000, 10), take(1, 10)], [Some(2), None]);
        assert_eq!(take(500, 1_009), Some(0), "the next report is not due yet");
        assert_eq!([take(1, 2_000), take(1, 2_000)], [Some(1), Some(0)]);
    }

    #[test]
    fn a_client_that_has_enough_costs_the_others_nothing() {
        let mut buckets = Buckets::default();
        let one = Some(Rate { count: 1, per: Duration::from_secs(1) });
        let mut take = |text| buckets.take(RATE, one, address(text), at(0)).is_ok();
        assert!(take("10.0.0.1") && !take("10.0.0.1") && take("10.0.0.2"));
    }

    #[test]
    fn addresses_without_number_reset_no_bucket() {
        let mut buckets = Buckets::default();
        let mut take = |number, millis| buckets.take(None, RATE, host(number), at(millis)).is_ok();
        assert!(take(0, 0) && take(0, 0) && !take(0, 0));
        for other in 1..3 * MOST_CLIENTS {
            take(other, 0);
            assert!(!take(0, 0), "after {other}");
        }
        assert!(take(0, 500) && !take(0, 500), "it fills at its own pace");
    }

    #[test]
    fn addresses_without_number_get_no_more_than_those_that_are_kept() {
        let mut buckets = Buckets::default();
        let mut passed = 0;
        // Each of many comes again and again, for ten seconds.
        for round in 0..50 {
            for number in 0..3 * MOST_CLIENTS {
                let taken = buckets.take(None, RATE, host(number), at(200 * round));
                passed += usize::from(taken.is_ok());
            }
        }
        // Two at once and two a second each, of those that are kept.
        assert!(passed <= MOST_CLIENTS * (2 + 2 * 10), "{passed}");
        assert!(passed >= MOST_CLIENTS * 2 * 9, "{passed}");
    }

    #[test]
    fn what_is_kept_is_bounded_and_forgotten() {
        let mut buckets = Buckets::default();
        for number in 0..MOST_CLIENTS + 10 {
            let _ = buckets.take(None, RATE, host(number), at(0));
        }
        let Clients { buckets: kept, order } = &buckets.clients;
        assert_eq!((kept.len(), order.len()), (MOST_CLIENTS, MOST_CLIENTS));
        for _ in 0..MOST_CLIENTS {
            let _ = buckets.take(None, RATE, host(0), at(60_000));
        }
        assert_eq!((buckets.clients.buckets.len(), buckets.clients.order.len()), (1, 1));
    }
}
