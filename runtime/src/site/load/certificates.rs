//! The certificates of tenants, and the one that the server makes for itself.

use super::{Fault, Loader};
use crate::config::plan::TenantPlan;
use crate::config::{Plan, Problem};
use crate::hosts::HostPattern;
use crate::site::TenantCertificate;
use crate::tls::{self, Certificates};

impl Loader<'_> {
    /// The certificates before any tenant adds its own: one that the server makes for
    /// itself, if it is asked to.
    pub(super) fn own_certificate(&mut self, plan: &Plan) -> Certificates {
        let mut certificates = Certificates::default();
        if plan.self_signed {
            let hosts = plan.tenants.iter().flat_map(|tenant| &tenant.hosts);
            let hosts = hosts.filter(|host| **host != HostPattern::Any);
            match tls::self_made(hosts.map(ToString::to_string)) {
                Ok(own) => {
                    certificates.add(HostPattern::Any, Some(own));
                }
                Err(why) => {
                    self.problems.push(Problem::of_all(format!("--tls self-signed: {why}")));
                }
            }
        }
        certificates
    }

    /// The certificate of a tenant's hosts, if the plan names one. After a reload that
    /// cannot read it, the tenant keeps the certificate that it had.
    pub(super) fn certificate(&mut self, plan: &TenantPlan) -> Option<TenantCertificate> {
        let tls = plan.tls.as_ref()?;
        let (certificate, key) = tls.files.as_ref()?;
        let why = match tls::load(certificate, key) {
            Ok(certificate) => return Some(Ok(certificate)),
            Err(why) => why,
        };
        let problem = tls.origin.problem(&why);
        let before = self.site_before(&plan.name).and_then(|site| site.certificate.clone());
        if let Some(Ok(before)) = before {
            self.keep(&problem);
            return Some(Ok(before));
        }
        let effect = format!("tenant {} has no certificate, TLS handshakes fail", plan.name);
        self.faults.push(Fault::new(effect, problem));
        Some(Err(why))
    }
}
