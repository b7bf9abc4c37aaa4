//! Which parts of a site work: what a process that takes over must be able to serve.

use std::collections::HashMap;
use std::sync::Arc;

use super::Site;
use crate::capability::log::escape;
use crate::handler::Handler;
use crate::wasm::Mounted;

/// The names of parts that work; those that are true were in use.
pub(crate) type Working = Vec<(String, bool)>;

/// Whether a part of a site works.
enum Health {
    Works,
    /// An app that nobody has asked for: it is loaded then.
    Unknown(Arc<Mounted>),
    Fails(String),
}

impl Site {
    /// The parts that work, as far as it is known.
    pub(crate) fn working(&self) -> Working {
        let working = self.parts().filter_map(|(name, health)| match health {
            Health::Works => Some((name, true)),
            Health::Unknown(_) => Some((name, false)),
            Health::Fails(_) => None,
        });
        working.collect()
    }

    /// Sentences about the parts that fail here and worked in the process before. Apps
    /// that were in use there are loaded for this; parts that are gone are no failure.
    pub(crate) async fn broken_of(&self, working: Working) -> Vec<String> {
        let parts: HashMap<String, Health> = self.parts().collect();
        let (mut broken, mut asked) = (Vec::new(), Vec::new());
        for (name, was_in_use) in working {
            match parts.get(&name) {
                Some(Health::Fails(why)) => broken.push(format!("{name}: {why}")),
                Some(Health::Unknown(app)) if was_in_use => {
                    // All at once: the library bounds how many are loaded at a time.
                    let app = app.clone();
                    asked.push((name, tokio::spawn(async move { app.check().await })));
                }
                Some(Health::Works | Health::Unknown(_)) | None => {}
            }
        }
        for (name, check) in asked {
            let failed = check.await.unwrap_or_else(|error| Err(error.to_string())).err();
            broken.extend(failed.map(|why| format!("{name}: {why}")));
        }
        broken.iter().map(|line| escape(line.as_bytes())).collect()
    }

    /// Each route and certificate, by its name.
    fn parts(&self) -> impl Iterator<Item = (String, Health)> {
        self.tenants.iter().flat_map(|site| {
            let tenant = &site.tenant.name;
            let routes = site.routes.iter().map(move |(label, route)| {
                let health = match &route.handler {
                    Handler::Files(_) | Handler::Redirect(_) => Health::Works,
                    Handler::Broken(why) => Health::Fails(why.to_string()),
                    Handler::App(app) if app.works() => Health::Works,
                    Handler::App(app) if app.fails() => Health::Fails(app.why_it_fails()),
                    Handler::App(app) => Health::Unknown(app.clone()),
                };
                (format!("tenant {tenant}, route {label}"), health)
            });
            let certificate = site.certificate.iter().map(move |certificate| {
                let health = match certificate {
                    Ok(_) => Health::Works,
                    Err(why) => Health::Fails(why.clone()),
                };
                (format!("tenant {tenant}, TLS"), health)
            });
            routes.chain(certificate)
        })
    }
}
