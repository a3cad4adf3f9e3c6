//! The history of a bus.

use super::super::{BusError, HistoryPage, TopicPattern};
use super::{Bus, message, publish, send};

fn texts(page: &HistoryPage) -> Vec<String> {
    page.messages.iter().map(|(_, message)| String::from_utf8(message.payload().to_vec()).unwrap()).collect()
}

/// In pages, filtered, in order; or refused by a bus that keeps none.
pub async fn history_is_read_from_any_position(bus: Bus) {
    let pattern: TopicPattern = "h.x.*".parse().unwrap();
    if !bus.capabilities().history {
        let refused = bus.replay(&pattern, None, 10).await;
        assert!(matches!(refused, Err(BusError::Unsupported { .. })), "got {refused:?}");
        return;
    }
    assert_eq!(bus.replay(&pattern, None, 10).await.unwrap(), HistoryPage::default());
    for number in 0..10 {
        let on = if number % 2 == 0 { "h.x.1" } else { "h.y.1" };
        let with_key = number == 4;
        let mut sent = message(on, number.to_string());
        if with_key {
            sent = sent.with_key("k".parse().unwrap()).with_header("a", "b").unwrap();
        }
        send(&bus, sent).await;
    }
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = bus.replay(&pattern, after, 2).await.unwrap();
        assert!(page.messages.len() <= 2);
        pages += 1;
        all.extend(page.messages);
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert!(pages >= 3);
    let all = HistoryPage::new(all, None);
    assert_eq!(texts(&all), ["0", "2", "4", "6", "8"]);
    let [_, _, (third, keyed), ..] = &*all.messages else { panic!("five messages") };
    assert_eq!((keyed.key().unwrap().as_str(), keyed.headers().get("a")), ("k", Some("b")));
    let rest = bus.replay(&pattern, Some(*third), 10).await.unwrap();
    assert_eq!((texts(&rest), rest.next), (vec!["6".to_owned(), "8".to_owned()], None));
    assert!(all.messages.is_sorted_by_key(|(at, _)| *at));
    publish(&bus, "h.x.2", "10").await;
    let (last, _) = rest.messages.last().unwrap();
    assert_eq!(texts(&bus.replay(&pattern, Some(*last), 10).await.unwrap()), ["10"]);
}
