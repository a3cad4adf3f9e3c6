//! What a triggered rule does, as it says it.

use daa_core::digest::DigestBuilder;
use daa_core::id::ActionKind;

use super::{Member, Piece};
use crate::condition::Condition;

/// What a rule does when it fires. Its order is this one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) set: Vec<SetParameter>,
    pub(crate) notify: Option<Notify>,
    pub(crate) emit: Option<Emit>,
}

/// An action that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Emit {
    pub(crate) kind: ActionKind,
    pub(crate) params: Vec<Member>,
    pub(crate) cost: Option<Cost>,
}

/// What an action may cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) of: Condition,
    /// The decimal places of its currency.
    pub(crate) decimals: u8,
}

/// Something that people, or other programs, are told.
#[derive(Clone, Debug)]
pub(crate) struct Notify {
    pub(crate) name: String,
    pub(crate) text: Vec<Piece>,
    pub(crate) data: Vec<Member>,
}

/// A parameter that gets a value.
#[derive(Clone, Debug)]
pub(crate) struct SetParameter(pub(crate) Member);

impl Effects {
    pub(crate) const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.notify.is_none() && self.emit.is_none()
    }

    /// Everything that is evaluated for it.
    pub(crate) fn expressions(&self) -> Vec<&Condition> {
        let mut all = Vec::new();
        self.set.iter().for_each(|set| set.0.template.expressions(&mut all));
        if let Some(notify) = &self.notify {
            notify.data.iter().for_each(|member| member.template.expressions(&mut all));
            all.extend(notify.text.iter().filter_map(|piece| match piece {
                Piece::Plain(_) => None,
                Piece::Expression(expression) => Some(expression),
            }));
        }
        if let Some(emit) = &self.emit {
            emit.params.iter().for_each(|member| member.template.expressions(&mut all));
            all.extend(emit.cost.iter().map(|cost| &cost.of));
        }
        all
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        out.add(b"set");
        out.add(&(self.set.len() as u64).to_le_bytes());
        for SetParameter(member) in &self.set {
            out.add(member.name.as_bytes());
            member.template.describe(out);
        }
        if let Some(Notify { name, text, data }) = &self.notify {
            out.add(b"notify");
            out.add(name.as_bytes());
            Piece::describe_all(text, out);
            Member::describe_all(data, out);
        }
        if let Some(Emit { kind, params, cost }) = &self.emit {
            out.add(b"emit");
            out.add(kind.as_str().as_bytes());
            Member::describe_all(params, out);
            if let Some(cost) = cost {
                out.add(b"cost");
                cost.of.digest(out);
                out.add(&[cost.decimals]);
            }
        }
    }
}
