//! From a request outside, by its trace, to what an agent did, and the other way round.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::{Authorized, Context, ExecuteError, Executor, Outcome};
use daa_core::workflow::TraceContext;
use daa_rules::audit::{Bundle, Part, Record, report};

use super::world::{World, payment};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[derive(Default)]
struct Traced(Mutex<Option<TraceContext>>);

#[async_trait]
impl Executor for Traced {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        *self.0.lock().unwrap() = action.trace().cloned();
        Ok(Outcome::new("done"))
    }
}

#[tokio::test]
async fn the_trace_of_a_request_is_in_the_record_of_its_decision_and_at_its_effect() {
    let world = World::new();
    let trace = TraceContext::from_headers(TRACEPARENT, Some("congo=t61rcWkgMzE")).unwrap();
    let context = Context::new().with("purpose", "rent").with_trace(trace.clone());
    let executor = Arc::new(Traced::default());
    world.gate.submit(payment("rent", "bob", 1), context, &*executor).await.unwrap();
    assert_eq!(executor.0.lock().unwrap().as_ref(), Some(&trace));
    world.pay("other", "bob", 1).await;
    let mut log = world.open().await.unwrap();
    let size = log.catch_up().await.unwrap().size;
    let mut traces = Vec::new();
    for index in 0..size {
        let record = Record::decode(&world.reader().record(index, size).await.unwrap()).unwrap();
        traces.push(record.trace.map(|trace| (trace.to_string(), record.span.unwrap().to_string())));
    }
    let expected = (TRACE.to_owned(), "00f067aa0ba902b7".to_owned());
    assert_eq!(traces, [Some(expected), None, None, None, None, None]);
    // What vendors attached to it is with the context, and shown with it alone.
    let mut bundle = Bundle::of_records(&world.reader(), &[0]).await.unwrap();
    assert!(bundle.to_string().contains(TRACE) && !bundle.to_string().contains("congo"));
    bundle.disclose(&*world.store, 0, &[Part::Context]).await.unwrap();
    let verified = bundle.verify(&world.trust()).unwrap();
    assert!(verified.records[0].disclosures[0].content.contains("congo=t61rcWkgMzE"));
    assert!(report(&verified).contains(TRACE));
    // It is bound like all of the record.
    let forged = bundle.to_string().replace("4bf92f", "4bf92e");
    assert!(Bundle::parse(forged.as_bytes()).unwrap().verify(&world.trust()).is_err());
}

#[tokio::test]
async fn what_is_no_trace_is_none() {
    let world = World::new();
    for (number, value) in [
        serde_json::json!({ "traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01" }),
        serde_json::json!("4bf92f3577b34da6a3ce929d0e0e4736"),
    ]
    .into_iter()
    .enumerate()
    {
        let context = Context::new().with("plan.trace", value).with("note", "plan.trace");
        let id = format!("pay-{number}");
        world.gate.submit(payment(&id, "bob", 1), context, &Traced::default()).await.unwrap();
    }
    let mut log = world.open().await.unwrap();
    let size = log.catch_up().await.unwrap().size;
    let record = Record::decode(&world.reader().record(0, size).await.unwrap()).unwrap();
    assert_eq!((size, record.trace, log.irregularities().total()), (6, None, 0));
}
