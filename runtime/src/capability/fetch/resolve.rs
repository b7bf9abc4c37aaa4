//! From an origin to the addresses that may be dialled. SECURITY: a name is
//! looked up once for each connection, and what is dialled is what was checked:
//! its answer may be another one the next time (DNS rebinding).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::Error;

use super::address::{is_of_this_machine, is_public};
use super::places::Places;
use crate::config::origins::{Origin, Origins};

/// Looks a name up.
pub(super) type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The system's resolver, or a test's.
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    running: Arc<Places>,
}

/// Names that are looked up at the same time: of all tenants, and of one. The system's
/// resolver keeps a thread for each, also of those that nobody waits for any more. A
/// name that is slow keeps a place of its tenant's share, and none of the others'.
const LOOKUPS: usize = 256;
const OF_TENANT: usize = 8;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 6;
/// Addresses of a name that are looked at. A name may have thousands; to look at one
/// takes two system calls.
const LOOKED_AT: usize = 64;

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::new(Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())))
    }
}

impl Resolver {
    pub(super) fn new(lookup: Arc<Lookup>) -> Resolver {
        Resolver { lookup, running: Places::new(LOOKUPS, OF_TENANT) }
    }

    /// The addresses of an origin that may be dialled for a tenant; at least one.
    pub(super) async fn addresses(
        &self,
        origin: &Origin,
        granted: &Origins,
        tenant: &Arc<str>,
        until: Instant,
    ) -> Result<Vec<SocketAddr>, Error> {
        let found = match origin.ip() {
            Some(ip) => vec![SocketAddr::new(ip, origin.port)],
            None => {
                let found = timeout_at(until, self.look_up(origin, tenant)).await;
                found.map_err(|_| Error::DnsTimeout)??
            }
        };
        if found.is_empty() {
            return Err(not_found());
        }
        let allowed = found.into_iter().take(LOOKED_AT);
        let allowed = allowed.filter(|address| may_dial(*address, granted)).take(ADDRESSES);
        let allowed: Vec<SocketAddr> = allowed.collect();
        if allowed.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(allowed) }
    }

    async fn look_up(&self, origin: &Origin, tenant: &Arc<str>) -> Result<Vec<SocketAddr>, Error> {
        let place = self.running.take(tenant).await.ok_or(Error::DnsTimeout)?;
        let (lookup, host, port) = (self.lookup.clone(), origin.host.clone(), origin.port);
        let found = tokio::task::spawn_blocking(move || {
            // Held until the resolver is done, whoever has left meanwhile.
            let _place = place;
            lookup(&host, port)
        });
        found.await.map_err(|_| not_found())?.map_err(|_| not_found())
    }
}

/// Whether an address may be dialled.
pub(super) fn may_dial(address: SocketAddr, granted: &Origins) -> bool {
    let ip = address.ip().to_canonical();
    granted.allow_address(address) || (is_public(ip) && !is_of_this_machine(ip))
}

fn not_found() -> Error {
    Error::DnsError { rcode: Some("not found".to_owned()), info_code: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;

    async fn addresses(
        resolver: &Resolver,
        host: &str,
        granted: &[&str],
    ) -> Result<Vec<SocketAddr>, Error> {
        let mut origins = Origins::default();
        granted.iter().for_each(|text| origins.add(text).unwrap());
        let origin = Origin { secure: false, host: host.to_owned(), port: 80 };
        let until = Instant::now() + Duration::from_secs(60);
        resolver.addresses(&origin, &origins, &"a".into(), until).await
    }

    #[tokio::test]
    async fn c9_a_name_is_looked_up_once_and_only_what_was_checked_is_dialled() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let resolver = Resolver::new(Arc::new(move |_, port| {
            let public = count.fetch_add(1, SeqCst).is_multiple_of(2);
            let ip = if public { [8, 8, 8, 8] } else { [127, 0, 0, 1] };
            Ok(vec![SocketAddr::from((ip, port))])
        }));
        for turn in 0..10 {
            let found = addresses(&resolver, "rebinding.example", &[]).await;
            assert_eq!(asked.load(SeqCst), turn + 1);
            match turn % 2 {
                0 => assert_eq!(found.unwrap(), ["8.8.8.8:80".parse().unwrap()]),
                _ => assert!(matches!(found, Err(Error::DestinationIpProhibited))),
            }
        }
    }

    /// A name that never resolves keeps its thread until the test has ended.
    #[tokio::test]
    async fn slow_names_of_many_tenants_leave_places_for_quick_names_of_another() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (ended, stuck) = (Mutex::new(ended), Arc::new(AtomicUsize::new(0)));
        let count = stuck.clone();
        let resolver = Arc::new(Resolver::new(Arc::new(move |host, port| {
            if host.starts_with("slow") {
                count.fetch_add(1, SeqCst);
                let _ = ended.lock().map(|ended| ended.recv());
            }
            Ok(vec![SocketAddr::from(([8, 8, 8, 8], port))])
        })));
        let until = Instant::now() + Duration::from_secs(600);
        let name = |host: &str| Origin { secure: false, host: host.to_owned(), port: 80 };
        for greedy in [4, 8, 40] {
            for tenant in 0..greedy {
                for _ in 0..20 {
                    let (resolver, tenant) = (resolver.clone(), format!("tenant {tenant}").into());
                    let slow = name("slow.example");
                    tokio::spawn(async move {
                        resolver.addresses(&slow, &Origins::default(), &tenant, until).await
                    });
                }
            }
            tokio::task::yield_now().await;
            for _ in 0..10 {
                let granted = Origins::default();
                let quick = name("quick.example");
                let found = resolver.addresses(&quick, &granted, &"victim".into(), until).await;
                assert_eq!(found.unwrap(), ["8.8.8.8:80".parse().unwrap()], "beside {greedy}");
            }
            assert!(stuck.load(SeqCst) <= greedy * OF_TENANT, "{}", stuck.load(SeqCst));
        }
        drop(end);
    }

    #[tokio::test]
    async fn c8_of_many_addresses_only_the_public_ones_are_tried() {
        let resolver = Resolver::new(Arc::new(|_, port| {
            let of = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port);
            Ok(vec![of("::1"), of("10.0.0.1"), of("8.8.4.4"), of("::ffff:127.0.0.1")])
        }));
        let found = addresses(&resolver, "mixed.example", &[]).await.unwrap();
        assert_eq!(found, ["8.8.4.4:80".parse().unwrap()]);
        let found = addresses(&resolver, "mixed.example", &["http://10.0.0.1"]).await.unwrap();
        assert_eq!(found, ["10.0.0.1:80".parse().unwrap(), "8.8.4.4:80".parse().unwrap()]);
    }

    #[tokio::test]
    async fn of_a_name_with_many_addresses_the_first_are_looked_at() {
        for (private, is_found) in [(LOOKED_AT - 1, true), (LOOKED_AT, false), (10_000, false)] {
            let resolver = Resolver::new(Arc::new(move |_, port| {
                let private = vec![SocketAddr::from(([10, 0, 0, 1], port)); private];
                Ok([private, vec![SocketAddr::from(([8, 8, 8, 8], port))]].concat())
            }));
            let found = addresses(&resolver, "many.example", &[]).await;
            assert_eq!(found.is_ok(), is_found, "{private}");
        }
    }

    #[tokio::test]
    async fn c8_spellings_of_addresses_lead_nowhere_else() {
        let resolver = Resolver::default();
        for host in
            ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "017700000001"]
        {
            let found = addresses(&resolver, host, &[]).await;
            let refused =
                matches!(found, Err(Error::DestinationIpProhibited | Error::DnsError { .. }));
            assert!(refused, "{host}: {found:?}");
        }
        let found = addresses(&resolver, "localhost", &[]).await;
        assert!(matches!(found, Err(Error::DestinationIpProhibited)), "{found:?}");
    }
}
