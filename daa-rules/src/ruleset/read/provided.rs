//! The table `[provided]`: the facts that providers tell.

use super::counters::span;
use super::{Reader, find};
use crate::document::{Entry, Misfit};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::provider::ProvidedFact;
use crate::schema::Schema;

const PROVIDED: [&str; 2] = ["provider", "max_age"];

impl Reader<'_> {
    /// Reads which of the declared facts a provider tells.
    pub(super) fn provided(&mut self, entries: &[Entry], schema: &mut Schema) -> Vec<ProvidedFact> {
        let tables = self.value(entries, "provided", |node| node.table("provided")).unwrap_or_default();
        if let Some(entry) = tables.get(Limits::PROVIDED_FACTS) {
            let problem = Problem::Limit { what: "facts that are provided", limit: Limits::PROVIDED_FACTS };
            self.note(Misfit { offset: entry.at, problem });
            return Vec::new();
        }
        let all = tables.iter().filter_map(|entry| self.fact(entry, schema)).collect();
        schema.provided.extend(tables.iter().map(|entry| entry.key.clone()));
        all
    }

    fn fact(&mut self, entry: &Entry, schema: &Schema) -> Option<ProvidedFact> {
        if schema.context.attribute(&entry.key).is_none() {
            let name = entry.key.chars().take(100).collect();
            self.note(Misfit { offset: entry.at, problem: Problem::Undeclared { name } });
            return None;
        }
        let entries = self.take(entry.value.table(&entry.key))?;
        self.known(entries, &PROVIDED);
        let provider = self.value(entries, "provider", |node| node.text("provider"));
        let missing = || {
            let problem = Problem::MissingKey { what: "fact that is provided", key: "max_age" };
            Misfit { offset: entry.at, problem }
        };
        let node = self.take(find(entries, "max_age").ok_or_else(missing))?;
        let max_age = self.take(span(node, "max_age"))?;
        let provider = provider.unwrap_or(&entry.key).chars().take(200).collect();
        Some(ProvidedFact { path: format!("context.{}", entry.key), provider, max_age })
    }
}
