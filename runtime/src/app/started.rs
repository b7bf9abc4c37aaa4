//! What only a restart changes, and what a reload may not.

use std::path::PathBuf;

use crate::config::Plan;
use crate::config::address::Address;
use crate::config::plan::Proxies;
use crate::limits::Limits;
use crate::limits::keys::{KEYS, Scope};
use crate::machine::Unfit;
use crate::units::Bytes;

/// What only a restart changes, as it was written down.
pub(crate) struct Started {
    limits: Limits,
    listen: Vec<Address>,
    pub(crate) proxies: Proxies,
    outbound_ca: Option<PathBuf>,
}

impl Started {
    pub(super) fn with(plan: &Plan) -> Started {
        let (limits, listen) = (plan.limits.clone(), plan.listen.clone());
        let outbound_ca = plan.outbound_ca.clone();
        Started { limits, listen, proxies: plan.proxies.clone(), outbound_ca }
    }

    /// What a plan has otherwise, a sentence each.
    pub(super) fn differences(&self, plan: &Plan) -> Vec<String> {
        let of_server = KEYS.iter().filter(|key| key.scope == Scope::Server);
        let limits = of_server.filter_map(|key| {
            let (old, new) = (key.show(&self.limits), key.show(&plan.limits));
            (old != new).then(|| format!("{} = {new}: the server runs with {old}", key.name))
        });
        let listen = (self.listen != plan.listen).then(|| "listen has changed".to_owned());
        let proxies = (self.proxies != plan.proxies)
            .then(|| "trusted-proxies, client-header or proxy-protocol have changed".to_owned());
        let outbound =
            (self.outbound_ca != plan.outbound_ca).then(|| "outbound-ca has changed".to_owned());
        let all = limits.chain(listen).chain(proxies).chain(outbound);
        all.map(|what| what + "; restart the server, or change it back").collect()
    }
}

/// The limits that are above what a running server can be given.
pub(super) fn above(wanted: &Limits, there: &Limits) -> impl Iterator<Item = Unfit> {
    let all = [
        ("memory", wanted.memory, there.memory),
        ("headers", wanted.headers, there.headers),
        ("uri", wanted.uri, there.uri),
    ];
    all.into_iter().filter(|(_, wanted, there)| wanted > there).map(|(name, wanted, there)| {
        let why = format!("the server was started for at most {}; restart it", Bytes(there));
        Unfit::new(name, Bytes(wanted).to_string(), why)
    })
}
