//! What the apps of `myweb.toml` are granted, and where key-value data is. Values
//! may be secrets: what is wrong with one is told without it. Pure.

use std::collections::BTreeMap;

use super::Reader;
use crate::config::bucket_name;
use crate::config::origins::Origins;
use crate::config::plan::{GrantsPlan, StorePlan, Value};
use crate::config::reader::{Item, Section};
use crate::config::schema;

impl Reader<'_> {
    pub(super) fn grants(&self, route: &Section<'_>) -> GrantsPlan {
        let Some(grants) = route.section("grants") else { return GrantsPlan::default() };
        grants.only(schema::GRANTS);
        let keyvalue = super::texts(&grants, "keyvalue", bucket_name).unwrap_or_default();
        let env = self.values(&grants, "env", variable_name);
        let granted = |name: &str| {
            let why = "env grants no variable of this name; add it there, or remove it here";
            if env.contains_key(name) { Ok(name.to_owned()) } else { Err(why.to_owned()) }
        };
        let env_at_import = super::texts(&grants, "env-at-import", granted).unwrap_or_default();
        GrantsPlan {
            files: self.path(&grants, "files"),
            outbound: outbound(&grants),
            keyvalue: keyvalue.into_iter().collect(),
            config: self.values(&grants, "config", |_| Ok(())),
            env_at_import: env_at_import.into_iter().collect(),
            env,
        }
    }

    /// Where a section says that key-value data is.
    pub(super) fn store(&self, section: &Section<'_>) -> Option<StorePlan> {
        self.value(&section.item("keyvalue")?).map(StorePlan::Redis)
    }

    fn values(
        &self,
        grants: &Section<'_>,
        key: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> BTreeMap<String, Value> {
        let Some(item) = grants.item(key) else { return BTreeMap::new() };
        let Some(table) = item.as_section() else {
            let _: Option<()> = item.wrong_secret("a table of names and values is expected");
            return BTreeMap::new();
        };
        let read = |name: &str| {
            let item = table.item(name)?;
            match check(name) {
                Ok(()) => Some((name.to_owned(), self.value(&item)?)),
                Err(why) => item.wrong_secret(why),
            }
        };
        table.keys().filter_map(read).collect()
    }

    /// A text, `{ file = "PATH" }` or `{ env = "NAME" }`.
    fn value(&self, item: &Item<'_>) -> Option<Value> {
        if let Some(text) = item.as_text() {
            return Some(Value::Text(text.to_owned()));
        }
        let write = "write a text, { file = \"PATH\" } or { env = \"NAME\" }";
        let Some(table) = item.as_section() else { return item.wrong_secret(write) };
        table.only(schema::VALUE);
        let one = |key| table.item(key).and_then(|item| item.as_text().map(str::to_owned));
        match (one("file"), one("env")) {
            (Some(path), None) if !path.is_empty() => Some(Value::File(self.base.join(path))),
            (None, Some(name)) if variable_name(&name).is_ok() => Some(Value::Variable(name)),
            _ => item.wrong_secret(write),
        }
    }
}

/// The origins that are granted; none if there is no such key.
fn outbound(grants: &Section<'_>) -> Origins {
    let mut origins = Origins::default();
    for item in grants.item("outbound").map(|item| item.list()).unwrap_or_default() {
        item.text(|text| origins.add(text));
    }
    origins
}

fn variable_name(name: &str) -> Result<(), String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err("a variable's name has no = in it".to_owned()),
        false => Ok(()),
    }
}
