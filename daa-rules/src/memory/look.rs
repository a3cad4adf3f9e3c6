//! Windows as they are, for rules that no action triggers.

use daa_core::clock::Timestamp;
use serde_json::Value;

use super::Memory;
use super::change::lacks;
use super::counter::Counter;
use super::error::MemoryError;

impl Memory {
    /// What counts now in a window without keys; of money, in the currency of this code. `Err` says why that is not
    /// known.
    pub(crate) async fn window(
        &self,
        counter: &Counter,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<Value, String>, MemoryError> {
        let Some(extent) = counter.extent() else { return Ok(Err("it is no window".to_owned())) };
        let now = self.time.of(&*self.store, now).await?;
        let stream = match counter.whole(code) {
            Ok(stream) => stream,
            Err(why) => return Ok(Err(why.to_string())),
        };
        let tally = self.book.read(&*self.store, &stream).await?;
        if let Some(gap) = self.gap(counter).filter(|gap| *gap >= extent.earliest(tally.moment(now))) {
            return Ok(Err(lacks(gap)));
        }
        if let Err(why) = tally.check(counter.bounds(), now) {
            return Ok(Err(why.to_string()));
        }
        let Some(sum) = tally.sum(extent, now) else { return Ok(Err("the sum overflows".to_owned())) };
        Ok(match code {
            Some(code) => Ok(format!("{sum} {code}").into()),
            None => match sum.whole().map(i64::try_from) {
                Some(Ok(number)) => Ok(number.into()),
                _ => Err("the sum is no number of 64 bits".to_owned()),
            },
        })
    }
}
