//! The part of a tenant's memory that bodies of requests may have while they
//! arrive or wait for a place, and the share of each client network in it.
//!
//! All of them together have at most half of the tenant's memory. A network may
//! have as much as stays free of that half: one network alone half of it, two a
//! third each. So a newcomer always finds room. Uploads take free memory only,
//! never that of idle instances.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Bound, Budget, Lack, Taken};

/// Unfinished uploads have one part of so many of their tenant's memory.
const PARTS: usize = 2;

/// The unfinished uploads of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// Bytes of all networks.
    used: usize,
    networks: HashMap<IpAddr, usize>,
}

/// Bytes of an unfinished upload, given back when dropped.
struct Share {
    uploads: Arc<Uploads>,
    /// The network of its client.
    network: IpAddr,
    bytes: usize,
}

/// The memory of a body, from its first byte until its request runs.
pub(crate) struct UploadMemory {
    share: Share,
    taken: Taken,
}

impl Uploads {
    /// Bytes of all networks.
    pub(super) fn bytes(&self) -> usize {
        self.all().used
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes more of the part, which has `most` bytes.
    fn more(&mut self, bytes: usize, most: usize) -> Result<(), Lack> {
        let mut all = self.uploads.all();
        let used = all.used.saturating_add(bytes);
        if used > most {
            return Err(Lack::new(Bound::Uploads, all.used, most));
        }
        let own = all.networks.get(&self.network).copied().unwrap_or_default();
        // Alone, an upload may have the whole part: it need not fit a share.
        let is_alone = all.used == self.bytes;
        let share = (most - (all.used - own)) / 2;
        if !is_alone && own.saturating_add(bytes) > share {
            return Err(Lack::new(Bound::Network, own, share));
        }
        all.used = used;
        *all.networks.entry(self.network).or_default() += bytes;
        drop(all);
        self.bytes += bytes;
        Ok(())
    }

    fn less(&mut self, bytes: usize) {
        let mut all = self.uploads.all();
        all.used -= bytes;
        if let Some(own) = all.networks.get_mut(&self.network) {
            *own -= bytes;
            if *own == 0 {
                all.networks.remove(&self.network);
            }
        }
        drop(all);
        self.bytes -= bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.less(self.bytes);
        }
    }
}

impl UploadMemory {
    /// For a body of a client of this network, of which nothing is there.
    pub(super) fn new(uploads: Arc<Uploads>, memory: Arc<Budget>, network: IpAddr) -> UploadMemory {
        let share = Share { uploads, network, bytes: 0 };
        UploadMemory { share, taken: Taken::nothing(memory) }
    }

    /// Takes memory for a body that is there as a whole.
    ///
    /// # Errors
    /// The tenant has no more, not even in idle instances.
    pub(crate) fn take_whole(&mut self, bytes: usize) -> Result<(), Lack> {
        self.taken.more(bytes)
    }

    /// Takes more memory for a body that still arrives.
    ///
    /// # Errors
    /// The share of its client's network is used up, the part of all uploads, or
    /// the free memory of the tenant.
    pub(crate) fn more(&mut self, bytes: usize) -> Result<(), Lack> {
        self.share.more(bytes, self.taken.most() / PARTS)?;
        self.taken.more_of_free(bytes).inspect_err(|_| self.share.less(bytes))
    }

    /// Gives some back.
    pub(crate) fn less(&mut self, bytes: usize) {
        let bytes = bytes.min(self.share.bytes);
        self.share.less(bytes);
        self.taken.less(bytes);
    }

    /// The request runs from now on: its body is memory of the tenant alone.
    pub(crate) fn finish(self) -> Taken {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of a tenant with 800 bytes, by networks.
    struct Tenant(Arc<Uploads>, Arc<Budget>);

    impl Tenant {
        fn new() -> Tenant {
            Tenant(Arc::default(), Arc::new(Budget::part_of(Arc::new(Budget::new(1_000)), 800)))
        }

        fn upload(&self, network: u8) -> UploadMemory {
            UploadMemory::new(self.0.clone(), self.1.clone(), IpAddr::from([10, 0, 0, network]))
        }

        /// How many uploads of 10 bytes of a network find room.
        fn fill(&self, network: u8) -> Vec<UploadMemory> {
            let upload = || {
                let mut upload = self.upload(network);
                upload.more(10).is_ok().then_some(upload)
            };
            std::iter::from_fn(upload).collect()
        }
    }

    #[test]
    fn each_network_has_a_share_of_half_of_the_memory() {
        let tenant = Tenant::new();
        let first = tenant.fill(1);
        assert_eq!(first.len(), 20, "half of the half");
        let held: Vec<Vec<UploadMemory>> = (2..5).map(|network| tenant.fill(network)).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [10, 5, 2]);
        assert!(tenant.1.has(400), "the other half is free");
        drop((first, held));
        let all = tenant.0.all();
        assert_eq!((all.used, all.networks.len()), (0, 0));
        assert!(tenant.1.has(800));
    }

    #[test]
    fn an_upload_that_is_alone_may_have_the_whole_part() {
        let tenant = Tenant::new();
        let mut large = tenant.upload(1);
        assert!(large.more(250).is_ok() && large.more(150).is_ok());
        assert_eq!(large.more(1), Err(Lack::new(Bound::Uploads, 400, 400)));
        large.less(100);
        assert!(tenant.upload(1).more(10).is_err(), "its network has more than its share");
        assert!(tenant.upload(2).more(50).is_ok());
        let body = large.finish();
        assert_eq!((body.bytes(), tenant.0.all().used), (300, 0));
        assert!(tenant.upload(1).more(200).is_ok(), "a request that runs is no upload");
    }

    #[test]
    fn memory_that_is_not_free_is_not_taken_for_an_upload() {
        let tenant = Tenant::new();
        let mut instances = Taken::nothing(tenant.1.clone());
        assert!(instances.more(790).is_ok());
        let mut upload = tenant.upload(1);
        assert_eq!(upload.more(20), Err(Lack::new(Bound::Tenant, 790, 800)));
        assert_eq!(tenant.0.all().used, 0, "the share is given back");
        assert!(upload.more(10).is_ok());
    }
}
