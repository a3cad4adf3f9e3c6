//! Any life of a store gives the same, whatever is archived in between.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { stream: u8, events: u8 },
    Erase { stream: u8, up_to: u8 },
    Archive { share: u8 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..4, 1_u8..5).prop_map(|(stream, events)| Step::Append { stream, events }),
        2 => (0_u8..5, 0_u8..12).prop_map(|(stream, up_to)| Step::Erase { stream, up_to }),
        2 => any::<u8>().prop_map(|share| Step::Archive { share }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..40)
}

/// All about an event but its place in the order, which the index takes a part in.
fn content(event: &RecordedEvent) -> (StreamId, Version, String, String) {
    let payload = String::from_utf8(event.payload.to_vec()).unwrap();
    (event.stream.clone(), event.version, event.kind.to_string(), payload)
}

async fn lives_as_a_store_without_archives(steps: Vec<Step>) {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let model = MemoryEventStore::new();
    let mut archived = over(store.clone(), artifacts.clone());
    for step in steps {
        match step {
            Step::Append { stream, events } => {
                let name = format!("s/{stream}");
                append(&archived, &name, events.into()).await;
                append(&model, &name, events.into()).await;
            }
            Step::Erase { stream: number, up_to } => {
                let (name, up_to) = (stream(&format!("s/{number}")), Version::new(up_to.into()));
                let erased = archived.erase(&name, up_to).await.unwrap();
                assert_eq!(erased, model.erase(&name, up_to).await.unwrap());
            }
            Step::Archive { share } => {
                let head = archived.head().await.unwrap().get();
                let up_to = Position::new(head * u64::from(share) / 255);
                archived.archive(up_to).await.unwrap();
                let left = store.read_all(Position::START, PageSize::default()).await.unwrap();
                let left = left.iter().filter(|it| it.position <= up_to && it.stream != stream(INDEX));
                assert!(left.clone().all(RecordedEvent::is_erased), "what is archived leaves the store");
            }
            Step::Restart => archived = over(store.clone(), artifacts.clone()),
        }
        let expected: Vec<_> = everything(&model, 100).await.iter().map(content).collect();
        for page in [2, 100] {
            let read: Vec<_> = everything(&archived, page).await.iter().map(content).collect();
            assert_eq!(read, expected);
        }
        for number in 0..4 {
            let name = format!("s/{number}");
            let read: Vec<_> = whole(&archived, &name).await.iter().map(content).collect();
            let expected: Vec<_> = whole(&model, &name).await.iter().map(content).collect();
            assert_eq!(read, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn archiving_changes_nothing_that_is_read(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(lives_as_a_store_without_archives(steps));
    }
}
