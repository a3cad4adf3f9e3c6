//! Answers: what comes again, what dies, and what is driven again.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Backoff, BusError, DeadLetterId, MAX_PAGE_BYTES, MAX_PAYLOAD, Subscriber};
use super::{
    Bus, assert_silent, dead_letters, grouped, message, options, publish, send, soon, subscribe, take,
    take_text, take_texts, text,
};

/// As its second attempt.
pub async fn a_refused_message_comes_again(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    let sent = message("t", "1").with_id("one".parse().unwrap()).with_header("a", "b").unwrap();
    send(&bus, sent.clone()).await;
    take(&mut *subscriber).await.nack("not yet").await.unwrap();
    let again = take(&mut *subscriber).await;
    assert_eq!((again.message(), again.attempt()), (&sent, 2));
    again.ack().await.unwrap();
    assert_silent(&mut *subscriber).await;
}

/// The backoff doubles, and has a bound.
pub async fn a_refused_message_waits_longer_each_time(bus: Bus) {
    let ms = Duration::from_millis;
    let backoff = Backoff::doubling(ms(100), ms(300));
    let mut subscriber = subscribe(&bus, options("t").with_backoff(backoff)).await;
    publish(&bus, "t", "1").await;
    let mut delivery = take(&mut *subscriber).await;
    for (attempt, wait) in [(1, 100), (2, 200), (3, 300), (4, 300)] {
        assert_eq!(delivery.attempt(), attempt);
        let refused = Instant::now();
        delivery.nack("not yet").await.unwrap();
        delivery = take(&mut *subscriber).await;
        let waited = refused.elapsed();
        // Clocks count in whole milliseconds.
        assert!(waited + ms(2) >= ms(wait), "after attempt {attempt} it came again after {waited:?}");
    }
    delivery.ack().await.unwrap();
}

/// While it waits, the others come.
pub async fn a_refused_message_keeps_nothing_from_others(bus: Bus) {
    let slow = Backoff::constant(Duration::from_millis(500));
    let mut subscriber = subscribe(&bus, options("t").with_backoff(slow)).await;
    publish(&bus, "t", "1").await;
    take(&mut *subscriber).await.nack("later").await.unwrap();
    for payload in ["2", "3"] {
        publish(&bus, "t", payload).await;
    }
    assert_eq!(take_texts(&mut *subscriber, 3).await, ["2", "3", "1"]);
}

/// Nobody answered: that is a refusal.
pub async fn a_dropped_delivery_comes_again(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    publish(&bus, "t", "1").await;
    drop(take(&mut *subscriber).await);
    let again = take(&mut *subscriber).await;
    assert_eq!((text(&again), again.attempt()), ("1".to_owned(), 2));
    again.ack().await.unwrap();
}

/// It keeps the last error, the attempts, and all of the message.
pub async fn a_message_refused_too_often_becomes_a_dead_letter(bus: Bus) {
    let mut subscriber = subscribe(&bus, grouped("t.*", "g").with_max_attempts(3)).await;
    let sent = message("t.x", "1")
        .with_id("one".parse().unwrap())
        .with_key("k".parse().unwrap())
        .with_header("trace", "17")
        .unwrap();
    send(&bus, sent.clone()).await;
    for attempt in 1..=3 {
        let delivery = take(&mut *subscriber).await;
        assert_eq!(delivery.attempt(), attempt);
        delivery.nack(format!("failed {attempt}: ü\nline")).await.unwrap();
    }
    let [letter] = &*dead_letters(&bus, 1).await else { panic!("one dead letter") };
    assert_eq!((&*letter.error, letter.attempts), ("failed 3: ü\nline", 3));
    assert_eq!((&letter.pattern, &letter.group), (&"t.*".parse().unwrap(), &Some("g".parse().unwrap())));
    assert_eq!(letter.message, sent);
    assert_silent(&mut *subscriber).await;
}

/// It poisons nobody for ever.
pub async fn a_message_that_drops_its_consumers_becomes_a_dead_letter(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t").with_max_attempts(3)).await;
    publish(&bus, "t", "poison").await;
    for attempt in 1..=3 {
        let delivery = take(&mut *subscriber).await;
        assert_eq!(delivery.attempt(), attempt);
        drop(delivery);
    }
    let [letter] = &*dead_letters(&bus, 1).await else { panic!("one dead letter") };
    assert_eq!((letter.attempts, letter.message.payload().as_ref()), (3, b"poison".as_slice()));
    publish(&bus, "t", "2").await;
    assert_eq!(take_text(&mut *subscriber).await, "2");
}

/// Without further attempts.
pub async fn a_rejected_message_becomes_a_dead_letter_at_once(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    publish(&bus, "t", "1").await;
    take(&mut *subscriber).await.reject("never").await.unwrap();
    let [letter] = &*dead_letters(&bus, 1).await else { panic!("one dead letter") };
    assert_eq!((&*letter.error, letter.attempts), ("never", 1));
}

async fn bury(bus: &Bus, subscriber: &mut dyn Subscriber, payload: &str) {
    publish(bus, "t", payload).await;
    take(subscriber).await.reject(format!("failed {payload}")).await.unwrap();
}

/// Oldest first, from any letter on.
pub async fn dead_letters_come_in_pages(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    for number in 0..5 {
        bury(&bus, &mut *subscriber, &number.to_string()).await;
    }
    let all = dead_letters(&bus, 5).await;
    assert!(all.is_sorted_by_key(|letter| letter.id));
    let errors: Vec<&str> = all.iter().map(|letter| &*letter.error).collect();
    assert_eq!(errors, ["failed 0", "failed 1", "failed 2", "failed 3", "failed 4"]);
    let (first_two, rest) = all.split_at(2);
    let page = bus.dead_letters(None, 2).await.unwrap();
    assert_eq!(page, first_two);
    let after = page.last().map(|letter| letter.id);
    assert_eq!(bus.dead_letters(after, 10).await.unwrap(), rest);
    assert_eq!(bus.dead_letters(all.last().map(|letter| letter.id), 10).await.unwrap(), []);
}

/// However many are asked for, a page has an end, and the next goes on behind it.
pub async fn pages_of_large_dead_letters_are_bounded(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    let large = "x".repeat(MAX_PAYLOAD);
    let (most, count) = (MAX_PAGE_BYTES.div_ceil(MAX_PAYLOAD), MAX_PAGE_BYTES.div_ceil(MAX_PAYLOAD) + 2);
    for _ in 0..count {
        publish(&bus, "t", &large).await;
        take(&mut *subscriber).await.reject("large").await.unwrap();
    }
    let (mut after, mut pages) = (None, Vec::new());
    let listed = async {
        while pages.iter().sum::<usize>() < count {
            let page = bus.dead_letters(after, 100).await.unwrap();
            after = page.last().map(|letter| letter.id).or(after);
            pages.extend((!page.is_empty()).then_some(page.len()));
        }
    };
    soon("all dead letters", listed).await;
    assert!(pages.iter().all(|&page| page <= most), "{pages:?}");
    assert_eq!(pages.iter().sum::<usize>(), count);
}

/// With all its attempts before it, and the letter is gone.
pub async fn a_dead_letter_can_be_driven_again(bus: Bus) {
    let mut subscriber = subscribe(&bus, options("t")).await;
    for payload in ["1", "2"] {
        bury(&bus, &mut *subscriber, payload).await;
    }
    let letters = dead_letters(&bus, 2).await;
    let [first, second] = &*letters else { panic!("two dead letters") };
    bus.redrive(first.id).await.unwrap();
    assert_eq!(bus.dead_letters(None, 10).await.unwrap(), std::slice::from_ref(second));
    let again = take(&mut *subscriber).await;
    assert_eq!((text(&again), again.attempt()), ("1".to_owned(), 1));
    again.ack().await.unwrap();
    for gone in [first.id, DeadLetterId::new(1 << 40)] {
        let refused = bus.redrive(gone).await;
        assert!(matches!(refused, Err(BusError::NoDeadLetter { id }) if id == gone), "got {refused:?}");
    }
}

/// Others that got the message are not bothered.
pub async fn a_dead_letter_of_a_group_goes_back_to_that_group_alone(bus: Bus) {
    let mut red = subscribe(&bus, grouped("t", "red")).await;
    let mut blue = subscribe(&bus, grouped("t", "blue")).await;
    bury(&bus, &mut *red, "1").await;
    assert_eq!(take_text(&mut *blue).await, "1");
    let [letter] = &*dead_letters(&bus, 1).await else { panic!("one dead letter") };
    bus.redrive(letter.id).await.unwrap();
    assert_eq!(take_text(&mut *red).await, "1");
    assert_silent(&mut *blue).await;
}
