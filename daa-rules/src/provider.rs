//! Facts that others know: asked for before each decision that needs them, within limits.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Context, Request};
use daa_core::clock::{Clock, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::{Either, join_all, select};
use serde_json::Value;

use crate::limits::Limits;

/// Tells one fact, such as a price.
///
/// # Contract
/// It is asked for each decision that needs the fact, while the decision waits, and possibly others behind it: so it
/// answers quickly, best out of what it has at hand. What it says is recorded with the decision. The future is dropped
/// when it takes too long.
#[async_trait]
pub trait ContextProvider: Send + Sync + fmt::Debug {
    /// The fact as it is, or was lately, for a decision on this action.
    ///
    /// # Errors
    /// Whatever keeps it from knowing; the fact is missing then.
    async fn provide(&self, request: &Request<'_>) -> Result<Provided, Box<dyn StdError + Send + Sync>>;
}

/// A fact, and when it was observed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Provided {
    /// What is so.
    pub value: Value,
    /// When it was seen to be so.
    pub at: Timestamp,
}

impl Provided {
    /// A fact, and when it was observed.
    #[must_use]
    pub fn new(value: impl Into<Value>, at: Timestamp) -> Self {
        Self { value: value.into(), at }
    }
}

/// Those who can be asked, by the names under which rulesets ask for them.
#[derive(Clone, Debug)]
pub struct Providers {
    clock: Arc<dyn Clock>,
    limit: Duration,
    by_name: BTreeMap<String, Arc<dyn ContextProvider>>,
}

/// How long all of them together may take, unless it is said otherwise.
const LIMIT: Duration = Duration::from_millis(500);

impl Providers {
    /// Nobody yet; `clock` tells how old an answer is, and when it is too late.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, limit: LIMIT, by_name: BTreeMap::new() }
    }

    /// Adds one under the name that a ruleset has for it; an earlier one of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, provider: Arc<dyn ContextProvider>) -> Self {
        self.by_name.insert(name.into(), provider);
        self
    }

    /// How long they may take to answer, for one decision; by default 500 milliseconds.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Asks for facts, all at a time; answers what is known, or why it is not.
    pub(crate) async fn ask(&self, facts: &[&ProvidedFact], request: &Request<'_>) -> Context {
        let answers = join_all(facts.iter().map(|fact| self.one(fact, request))).await;
        facts.iter().zip(answers).fold(Context::new(), |given, (fact, answer)| match answer {
            Ok(provided) => given
                .with(format!("{}.at", fact.path), provided.at.as_millis())
                .with(fact.path.clone(), provided.value),
            Err(why) => {
                let why: String = why.chars().take(200).collect();
                given.with(format!("{}.problem", fact.path), why)
            }
        })
    }

    async fn one(&self, fact: &ProvidedFact, request: &Request<'_>) -> Result<Provided, String> {
        let provider = self.by_name.get(&fact.provider);
        let provider = provider.ok_or_else(|| format!("there is no provider {:?}", fact.provider))?;
        let asked = AssertUnwindSafe(provider.provide(request)).catch_unwind();
        let provided = match select(asked, self.clock.sleep(self.limit)).await {
            Either::Left((Ok(Ok(provided)), _)) => provided,
            Either::Left((Ok(Err(error)), _)) => return Err(format!("the provider failed: {error}")),
            Either::Left((Err(_), _)) => return Err("the provider panicked".to_owned()),
            Either::Right(_) => return Err(format!("no answer within {:?}", self.limit)),
        };
        let bytes = serde_json::to_vec(&provided.value).map_or(usize::MAX, |json| json.len());
        if bytes > Limits::PROVIDED {
            return Err(format!("the answer has {bytes} bytes, at most {} are allowed", Limits::PROVIDED));
        }
        let now = self.clock.now();
        let age = now.since(provided.at).max(provided.at.since(now));
        if age > fact.max_age {
            return Err(format!("the answer is {age:?} old, at most {:?} are allowed", fact.max_age));
        }
        Ok(provided)
    }
}

/// A fact that a ruleset wants to be told by a provider, and by nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvidedFact {
    /// What conditions call it, such as `context.price`.
    pub(crate) path: String,
    pub(crate) provider: String,
    /// How long ago it may have been observed.
    pub(crate) max_age: Duration,
}
