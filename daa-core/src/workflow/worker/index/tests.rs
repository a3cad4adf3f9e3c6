use serde_json::Value;

use super::*;
use crate::digest::Digest;
use crate::event::Position;
use crate::id::StreamId;
use crate::workflow::run::{RunOutcome, RunStarted};

fn started(run: RunId) -> RunEvent {
    RunEvent::Started(Box::new(RunStarted {
        run,
        workflow: "w".parse().unwrap(),
        definition: Digest::of(b"w"),
        actor: "alice".parse().unwrap(),
        input: Value::Null,
        priority: 0,
        parent: None,
        trace: None,
        attached: false,
        sources: Default::default(),
    }))
}

/// A log of one run, which the index follows.
struct Log {
    index: Index,
    version: Version,
}

fn run() -> RunId {
    RunId::new("run").unwrap()
}

fn moment(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn claim(worker: &str) -> Claim {
    Claim { worker: worker.parse().unwrap(), incarnation: 1 }
}

fn ended() -> RunEvent {
    RunEvent::Ended(RunOutcome::Completed { output: Value::Null })
}

fn reopened() -> RunEvent {
    RunEvent::RollBackRequested { by: "alice".parse().unwrap(), reason: String::new(), priority: 0 }
}

impl Log {
    /// A run that is performed here.
    fn performed() -> Self {
        let mut log = Self { index: Index::default(), version: Version::EMPTY };
        assert_eq!(log.brings(started(run())), News::Due(run()));
        log.index.queue(&run());
        assert!(log.index.next(|_| false).is_some());
        log.brings(RunEvent::Claimed(claim("here")));
        log
    }

    /// At a moment that is the version.
    fn brings(&mut self, event: RunEvent) -> News {
        self.version = self.version.next();
        follow(&mut self.index, &run(), self.version, event)
    }
}

/// At a moment that is the version.
fn follow(index: &mut Index, run: &RunId, version: Version, event: RunEvent) -> News {
    let at = moment(version.get());
    let new = event.to_new(at).unwrap();
    let stream = StreamId::new(format!("workflow/{run}")).unwrap();
    let position = Position::new(version.get());
    let event = RecordedEvent::new(position, stream, version, new.kind, at, new.payload);
    index.follow(&event).unwrap()
}

#[test]
fn a_run_that_another_ended_while_it_was_performed_here_has_ended_once_that_is_reported() {
    let mut log = Log::performed();
    log.brings(RunEvent::Claimed(claim("there")));
    assert_eq!(log.brings(ended()), News::None);
    assert_eq!(log.index.released(&run(), moment(100)), News::Ended(run(), moment(4)));
    assert!(log.index.entry(&run()).is_none());

    let mut log = Log::performed();
    let parked = log.version;
    log.brings(RunEvent::Claimed(claim("there")));
    log.brings(ended());
    let news = log.index.parked(&run(), parked, Some(claim("here")), None, Vec::new());
    assert_eq!(news, News::Ended(run(), moment(4)));
}

#[test]
fn a_run_that_was_reopened_before_its_end_is_reported_goes_on() {
    let mut log = Log::performed();
    log.brings(ended());
    let end = log.version;
    log.brings(reopened());
    assert_eq!(log.index.ended(&run(), end, moment(100)), News::Due(run()));
    let entry = log.index.entry(&run()).unwrap();
    assert!(entry.is_due() && entry.claim.is_none());
    // Another worker brings it to its end.
    log.brings(RunEvent::Claimed(claim("there")));
    assert_eq!(log.brings(ended()), News::Ended(run(), moment(6)));
}

#[test]
fn a_run_that_was_reopened_and_ended_again_before_its_end_is_reported_has_ended() {
    let mut log = Log::performed();
    log.brings(ended());
    let end = log.version;
    log.brings(reopened());
    log.brings(ended());
    assert_eq!(log.index.ended(&run(), end, moment(100)), News::Ended(run(), moment(100)));
    assert!(log.index.entry(&run()).is_none());
}

#[test]
fn what_was_ended_reopened_and_left_here_goes_on_whatever_the_log_has_told_so_far() {
    let mut log = Log::performed();
    log.brings(ended());
    // Whoever performed it here has seen more than the log has brought yet.
    assert_eq!(log.index.parked(&run(), Version::new(9), None, None, Vec::new()), News::None);
    assert_eq!(log.brings(reopened()), News::None);
    assert!(log.index.entry(&run()).is_some());
}

#[test]
fn whoever_took_a_run_while_its_rest_was_reported_is_not_forgotten() {
    let mut log = Log::performed();
    let parked = log.version;
    log.brings(RunEvent::Claimed(claim("there")));
    let news = log.index.parked(&run(), parked, Some(claim("here")), None, Vec::new());
    assert_eq!(news, News::Due(run()));
    assert_eq!(log.index.entry(&run()).unwrap().claim.as_deref(), Some(&claim("there")));
}

#[test]
fn runs_that_no_longer_wait_for_a_place_are_not_woken_for_it() {
    let mut index = Index::default();
    let key: LimitKey = "key".parse().unwrap();
    let runs: Vec<RunId> = (0..2 * WOKEN + 1).map(|n| format!("run-{n:02}").parse().unwrap()).collect();
    for run in &runs {
        follow(&mut index, run, Version::new(1), started(run.clone()));
        let parked = RunEvent::Parked { until: Some(moment(9)), on: vec![key.clone()] };
        follow(&mut index, run, Version::new(2), parked);
    }
    let (gone, others) = runs.split_at(WOKEN);
    let (elsewhere, last) = others.split_at(WOKEN);
    for run in gone {
        follow(&mut index, run, Version::new(3), ended());
    }
    for run in elsewhere {
        follow(&mut index, run, Version::new(3), RunEvent::Parked { until: None, on: Vec::new() });
    }
    assert_eq!(index.freed(&key), last);
    assert_eq!(index.freed(&key), []);
}
