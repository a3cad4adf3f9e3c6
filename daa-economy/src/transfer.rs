//! What moves money: transfers and holds, and the idempotency of both.

use daa_core::amount::{Amount, Money};
use daa_core::clock::Timestamp;
use daa_core::digest::{Digest, DigestBuilder};
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::{AccountId, AgentId, TransferId};
use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest memo, in bytes.
pub const MAX_MEMO_LEN: usize = 256;

/// A short text for people, at most [`MAX_MEMO_LEN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Memo(Box<str>);

impl Memo {
    /// Checks and wraps a text.
    ///
    /// # Errors
    /// [`MemoTooLong`] beyond [`MAX_MEMO_LEN`] bytes.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, MemoTooLong> {
        let text = text.into();
        if text.len() > MAX_MEMO_LEN { Err(MemoTooLong { len: text.len() }) } else { Ok(Self(text)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Memo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Box::<str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A text that is too long for a [`Memo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a memo has at most {MAX_MEMO_LEN} bytes, this one has {len}")]
#[non_exhaustive]
pub struct MemoTooLong {
    /// Its length in bytes.
    pub len: usize,
}

impl Reaction for MemoTooLong {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Money on its way from one account to another: both legs in one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// The idempotency key.
    pub id: TransferId,
    /// Whose balance goes down.
    pub from: AccountId,
    /// Whose balance goes up.
    pub to: AccountId,
    /// How much, in the currency of both accounts.
    pub money: Money,
    /// Why, for people.
    pub memo: Option<Memo>,
    /// The digest of what proves that it is right, such as a slashing report.
    pub evidence: Option<Digest>,
}

impl Transfer {
    /// A transfer.
    #[must_use]
    pub const fn new(id: TransferId, from: AccountId, to: AccountId, money: Money) -> Self {
        Self { id, from, to, money, memo: None, evidence: None }
    }

    /// Says why.
    #[must_use]
    pub fn with_memo(mut self, memo: Memo) -> Self {
        self.memo = Some(memo);
        self
    }

    /// Names the proof.
    #[must_use]
    pub const fn with_evidence(mut self, evidence: Digest) -> Self {
        self.evidence = Some(evidence);
        self
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut content = Digest::builder("daa ledger transfer v1");
        add_legs(&mut content, &self.from, &self.to, &self.money);
        content.add(self.memo.as_ref().map_or("", Memo::as_str).as_bytes());
        content.add(self.evidence.as_ref().map_or(&[], |evidence| evidence.as_bytes().as_slice()));
        Fingerprint { key: id_key(&self.id), content: short(content) }
    }
}

/// Whose budgets a hold counts against, and in which moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Spending {
    /// Who spends.
    pub agent: AgentId,
    /// When. The books never go back in time: one before an earlier spending is moved to that.
    pub at: Timestamp,
}

impl Spending {
    /// Spending by `agent` at `at`.
    #[must_use]
    pub const fn new(agent: AgentId, at: Timestamp) -> Self {
        Self { agent, at }
    }
}

/// Money set aside on one account for another: posted later, all or part of it, or voided.
///
/// A hold never ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hold {
    /// The idempotency key; shares its names with transfers.
    pub id: TransferId,
    /// Where the money is.
    pub from: AccountId,
    /// Where it goes when it is posted.
    pub to: AccountId,
    /// The most that can be posted.
    pub money: Money,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Memo>,
    /// From when on it may be ended by [`Command::Expire`](crate::Command::Expire); `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whose budgets it counts against; `None` for nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending: Option<Spending>,
}

impl Hold {
    /// A hold that counts against no budget and does not expire.
    #[must_use]
    pub const fn new(id: TransferId, from: AccountId, to: AccountId, money: Money) -> Self {
        Self { id, from, to, money, memo: None, expires: None, spending: None }
    }

    /// Says why.
    #[must_use]
    pub fn with_memo(mut self, memo: Memo) -> Self {
        self.memo = Some(memo);
        self
    }

    /// Allows it to be expired from `at` on.
    #[must_use]
    pub const fn with_expiry(mut self, at: Timestamp) -> Self {
        self.expires = Some(at);
        self
    }

    /// Counts it against the budgets of an agent.
    #[must_use]
    pub fn with_spending(mut self, spending: Spending) -> Self {
        self.spending = Some(spending);
        self
    }

    /// The moment of spending is left out: it is when the hold was first asked for, and a repetition comes later.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut content = Digest::builder("daa ledger hold v1");
        add_legs(&mut content, &self.from, &self.to, &self.money);
        content.add(self.memo.as_ref().map_or("", Memo::as_str).as_bytes());
        let expires = self.expires.map(|at| at.as_millis().to_le_bytes());
        content.add(expires.as_ref().map_or(&[], |bytes| bytes.as_slice()));
        let agent = self.spending.as_ref().map(|spending| &spending.agent);
        content.add(agent.map_or("", |agent| agent.as_str()).as_bytes());
        Fingerprint { key: id_key(&self.id), content: short(content) }
    }
}

fn add_legs(content: &mut DigestBuilder, from: &AccountId, to: &AccountId, money: &Money) {
    content.add(from.as_str().as_bytes());
    content.add(to.as_str().as_bytes());
    content.add(&money.amount().units().to_le_bytes());
    content.add(money.currency().code().as_bytes());
    content.add(&[money.currency().decimals()]);
}

/// What the books remember of a transfer or a hold for ever: 128 bits of the digest of its id, and 128 of its
/// content. Ids that collide are refused as reused, so a collision can stop a transfer, but never repeat or lose
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) key: [u8; 16],
    pub(crate) content: [u8; 16],
}

pub(crate) fn id_key(id: &TransferId) -> [u8; 16] {
    short(Digest::builder("daa ledger id v1").field(id.as_str().as_bytes()))
}

/// How a hold ended, under a key of its own. `None` for one that was voided.
pub(crate) fn closing(hold: &TransferId, posted: Option<Amount>) -> Fingerprint {
    let content = match posted {
        Some(amount) => Digest::builder("daa ledger posted v1").field(&amount.units().to_le_bytes()),
        None => Digest::builder("daa ledger voided v1"),
    };
    let key = Digest::builder("daa ledger closing id v1").field(hold.as_str().as_bytes());
    Fingerprint { key: short(key), content: short(content) }
}

fn short(builder: DigestBuilder) -> [u8; 16] {
    let digest = builder.finish();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use daa_core::amount::Currency;

    use super::*;

    fn usd(units: u128) -> Money {
        Currency::new("USD", 2).unwrap().units(units)
    }

    fn transfer() -> Transfer {
        Transfer::new("t".try_into().unwrap(), "a".try_into().unwrap(), "b".try_into().unwrap(), usd(1))
    }

    fn hold() -> Hold {
        Hold::new("t".try_into().unwrap(), "a".try_into().unwrap(), "b".try_into().unwrap(), usd(1))
    }

    #[test]
    fn the_fingerprint_of_a_transfer_covers_every_field() {
        let original = transfer().fingerprint();
        let c: AccountId = "c".try_into().unwrap();
        let decimals = Currency::new("USD", 3).unwrap().units(1);
        let changed = [
            Transfer { from: c.clone(), ..transfer() },
            Transfer { to: c, ..transfer() },
            Transfer { money: usd(2), ..transfer() },
            Transfer { money: decimals, ..transfer() },
            transfer().with_memo(Memo::new("m").unwrap()),
            transfer().with_evidence(Digest::of(b"e")),
        ];
        for other in changed {
            let print = other.fingerprint();
            assert_eq!(print.key, original.key, "{other:?}");
            assert_ne!(print.content, original.content, "{other:?}");
        }
        let other = Transfer { id: "u".try_into().unwrap(), ..transfer() }.fingerprint();
        assert_ne!(other.key, original.key);
    }

    #[test]
    fn the_fingerprint_of_a_hold_covers_all_but_the_moment() {
        let original = hold().fingerprint();
        let (c, at): (AccountId, _) = ("c".try_into().unwrap(), Timestamp::EPOCH);
        let spending = |agent: &str, at| Spending::new(agent.try_into().unwrap(), at);
        let changed = [
            Hold { from: c.clone(), ..hold() },
            Hold { to: c, ..hold() },
            Hold { money: usd(2), ..hold() },
            hold().with_memo(Memo::new("m").unwrap()),
            hold().with_expiry(at),
            hold().with_spending(spending("a", at)),
        ];
        for other in changed {
            let print = other.fingerprint();
            assert_eq!(print.key, original.key, "{other:?}");
            assert_ne!(print.content, original.content, "{other:?}");
        }
        let later = hold().with_spending(spending("a", Timestamp::from_millis(9)));
        assert_eq!(later.fingerprint(), hold().with_spending(spending("a", at)).fingerprint());
        assert_ne!(transfer().fingerprint().content, original.content, "a hold is no transfer");
    }
}
