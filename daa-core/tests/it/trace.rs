//! W3C Trace Context: the examples and the rules of the recommendation.

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction};
use daa_core::workflow::{MAX_TRACEPARENT_LEN, SpanId, TraceContext, TraceError, TraceId, TraceState};
use proptest::prelude::*;
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parse(text: &str) -> Result<TraceContext, TraceError> {
    text.parse()
}

fn header(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

#[test]
fn reads_and_writes_the_examples_of_the_recommendation() {
    for (flags, sampled) in [("01", true), ("00", false)] {
        let context = parse(&header(flags)).unwrap();
        assert_eq!(context.trace_id().to_string(), TRACE);
        assert_eq!(context.span_id().to_string(), SPAN);
        assert_eq!(context.is_sampled(), sampled);
        assert_eq!(context.to_string(), header(flags));
    }
    let (trace, span) = (TRACE.parse::<TraceId>().unwrap(), SPAN.parse::<SpanId>().unwrap());
    assert_eq!(span.as_bytes(), &[0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert_eq!(TraceContext::new(trace, span, true), parse(&header("01")).unwrap());
}

#[test]
fn drops_flags_that_it_does_not_know() {
    assert_eq!(parse(&header("ff")).unwrap().to_string(), header("01"));
    assert_eq!(parse(&header("fe")).unwrap().to_string(), header("00"));
}

#[test]
fn refuses_what_the_recommendation_calls_invalid() {
    let zero_trace = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let zero_span = format!("00-{TRACE}-{}-01", "0".repeat(16));
    let upper_trace = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
    let upper_span = format!("00-{TRACE}-{}-01", SPAN.to_uppercase());
    for (text, expected) in [
        ("", TraceError::Version),
        (header("01").replacen("00", "ff", 1).as_str(), TraceError::Version),
        (header("01").replacen("00", "0A", 1).as_str(), TraceError::Version),
        (header("01").replacen("00", ".0", 1).as_str(), TraceError::Version),
        (header("01").replacen("00", "0", 1).as_str(), TraceError::Version),
        (&zero_trace, TraceError::TraceId),
        (&zero_span, TraceError::SpanId),
        (&upper_trace, TraceError::TraceId),
        (&upper_span, TraceError::SpanId),
        (&header("0G"), TraceError::Flags),
        (&header("0A"), TraceError::Flags),
        (&header("1"), TraceError::Length { len: 54 }),
        (&header("001"), TraceError::Length { len: 56 }),
        (&header("01-"), TraceError::Length { len: 56 }),
        (&header("01-what-the-future"), TraceError::Length { len: 71 }),
        (&header("01").replace('-', "_"), TraceError::Version),
        (&format!("00-{TRACE}0-{}-01", SPAN.get(1..).unwrap()), TraceError::TraceId),
        (&format!(" {}", header("01")), TraceError::Version),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert_eq!(error.fault(), Fault::Peer);
    }
}

#[test]
fn reads_the_known_fields_of_a_later_version() {
    let later = |rest: &str| format!("cc-{TRACE}-{SPAN}-01{rest}");
    for rest in ["", "-", "-what-the-future-will-be-like"] {
        assert_eq!(parse(&later(rest)).unwrap().to_string(), header("01"), "{rest:?}");
    }
    assert_eq!(parse(&later(".what-the-future")), Err(TraceError::Flags));
    assert_eq!(parse(&format!("cc-{TRACE}-{SPAN}-0")), Err(TraceError::Flags));
    assert_eq!(parse(&format!("cc-{TRACE}-{SPAN}")), Err(TraceError::Flags));
    assert_eq!(parse("cc-"), Err(TraceError::TraceId));
    let longest = MAX_TRACEPARENT_LEN - 56;
    assert!(parse(&later(&format!("-{}", "x".repeat(longest)))).is_ok());
    assert_eq!(parse(&later(&format!("-{}", "x".repeat(longest + 1)))), Err(TraceError::Length { len: 257 }));
}

#[test]
fn a_child_stays_in_the_trace_and_depends_on_everything() {
    let parent = parse(&header("01")).unwrap().with_state(TraceState::new("congo=t61rcWkgMzE").unwrap());
    let label = Digest::of(b"step 1");
    let child = parent.child(&label);
    assert_eq!(
        (child.trace_id(), child.is_sampled(), child.state()),
        (parent.trace_id(), true, parent.state())
    );
    assert_eq!(parent.child(&label), child);
    let elsewhere = TraceContext::root(&label, true);
    let others = [
        parent.span_id(),
        parent.child(&Digest::of(b"step 2")).span_id(),
        child.child(&label).span_id(),
        TraceContext::new(elsewhere.trace_id(), parent.span_id(), true).child(&label).span_id(),
        elsewhere.span_id(),
    ];
    assert!(others.iter().all(|&other| other != child.span_id()));
}

#[test]
fn derived_ids_never_change() {
    let root = TraceContext::root(&Digest::of(b"run 7"), false);
    assert_eq!(root.to_string(), "00-fdf98249ec7c5aaae380d002fc95ac7b-c0aa5ac1aeead59f-00");
    assert_eq!(
        root.child(&Digest::of(b"step 1")).to_string(),
        "00-fdf98249ec7c5aaae380d002fc95ac7b-8d6735cda43cf546-00"
    );
}

#[test]
fn a_wrong_tracestate_does_not_spoil_the_traceparent() {
    let read = |state| TraceContext::from_headers(&header("01"), state).unwrap();
    let state = |text: &str| Some(TraceState::new(text).unwrap());
    assert_eq!(
        read(Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).state(),
        state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").as_ref()
    );
    for wrong in ["", "rojo=1\r\nx-evil: 1", "rojo=ü", "x".repeat(513).as_str()] {
        assert_eq!(read(Some(wrong)).state(), None);
    }
    assert_eq!(TraceContext::from_headers("", Some("rojo=1")), Err(TraceError::Version));
}

#[test]
fn a_tracestate_is_bounded_and_printable() {
    assert!(TraceState::new("x".repeat(512)).is_ok());
    assert_eq!(TraceState::new("x".repeat(513)), Err(TraceError::StateLength { len: 513 }));
    assert_eq!(TraceState::new(""), Err(TraceError::StateLength { len: 0 }));
    assert_eq!(TraceState::new("a=1\n"), Err(TraceError::StateCharacter { found: '\n' }));
    assert!(TraceState::new("a=1 ,\tb=2").is_ok());
}

#[test]
fn is_written_as_the_two_headers() {
    let bare = parse(&header("01")).unwrap();
    let full = bare.clone().with_state(TraceState::new("rojo=1").unwrap());
    for (context, text) in [
        (bare, json!({ "traceparent": header("01") })),
        (full, json!({ "traceparent": header("01"), "tracestate": "rojo=1" })),
    ] {
        assert_eq!(serde_json::to_value(&context).unwrap(), text);
        assert_eq!(serde_json::from_value::<TraceContext>(text).unwrap(), context);
    }
    for wrong in [json!({ "traceparent": "00" }), json!({ "traceparent": header("01"), "tracestate": "\n" })]
    {
        assert!(serde_json::from_value::<TraceContext>(wrong).is_err());
    }
    assert_eq!(serde_json::to_value(SPAN.parse::<SpanId>().unwrap()).unwrap(), json!(SPAN));
    assert!(serde_json::from_value::<TraceId>(json!(SPAN)).is_err());
}

proptest! {
    #[test]
    fn text_round_trips(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), sampled in any::<bool>()) {
        let (Ok(trace), Ok(span)) = (TraceId::from_bytes(trace), SpanId::from_bytes(span)) else { return Ok(()) };
        let context = TraceContext::new(trace, span, sampled);
        prop_assert_eq!(context.to_string().len(), 55);
        prop_assert_eq!(parse(&context.to_string()), Ok(context));
    }

    #[test]
    fn parsing_never_panics(text in ".{0,80}", near in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?") {
        for text in [text, near] {
            if let Ok(context) = parse(&text) {
                prop_assert_eq!(parse(&context.to_string()), Ok(context));
            }
        }
    }
}
