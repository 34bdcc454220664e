//! Tests of patience with a store whose faults are given.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A store whose calls end as listed, and then succeed.
#[derive(Debug)]
struct Scripted {
    ends: Mutex<Vec<FaultKind>>,
    calls: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Scripted {
    fn new(ends: &[FaultKind]) -> Scripted {
        let ends = ends.iter().rev().copied().collect();
        Scripted {
            ends: Mutex::new(ends),
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    fn call(&self) -> Result<(), Fault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        std::thread::yield_now();
        self.running.fetch_sub(1, Ordering::SeqCst);
        match self.ends.lock().unwrap().pop() {
            None => Ok(()),
            Some(kind) => {
                Err(Fault { kind, message: "see https://h/?sig=SECRET for more".to_owned() })
            }
        }
    }
}

impl Backend for Scripted {
    fn place(&self) -> String {
        "s3://bucket/x".to_owned()
    }
    fn list(&self, _: &str) -> Result<Vec<Listed>, Fault> {
        self.call().map(|()| Vec::new())
    }
    fn get(&self, _: &str, _: Option<Range<u64>>) -> Result<Vec<u8>, Fault> {
        self.call().map(|()| Vec::new())
    }
    fn put(&self, _: &str, _: &[u8]) -> Result<(), Fault> {
        self.call()
    }
    fn delete(&self, _: &str) -> Result<(), Fault> {
        self.call()
    }
    fn entry(&self, _: &str) -> Result<Option<Entry>, Fault> {
        self.call().map(|()| None)
    }
    fn entries(&self, _: &str) -> Result<Vec<Entry>, Fault> {
        self.call().map(|()| Vec::new())
    }
    fn parallelism(&self) -> usize {
        8
    }
}

fn patient(ends: &[FaultKind]) -> Patient<Scripted> {
    let first = Duration::from_micros(10);
    let patience = Patience { first, longest: first * 4, total: Duration::from_secs(60) };
    Patient::new(Scripted::new(ends), "lab", location(), None, patience)
}

fn location() -> Location {
    Location::parse("s3://bucket/x").unwrap()
}

fn calls(patient: &Patient<Scripted>) -> usize {
    patient.inner.calls.load(Ordering::SeqCst)
}

#[test]
fn passing_faults_are_repeated() {
    let ends = [FaultKind::Unavailable, FaultKind::Busy(None), FaultKind::Truncated];
    let patient = patient(&ends);
    patient.put("packs/a", b"x").unwrap();
    assert_eq!(calls(&patient), 4);
}

#[test]
fn lasting_faults_are_not_repeated() {
    for kind in [
        FaultKind::Missing,
        FaultKind::NoSuchPlace,
        FaultKind::Denied,
        FaultKind::Full,
        FaultKind::Unsupported,
        FaultKind::Other,
    ] {
        let patient = patient(&[kind]);
        let fault = patient.get("packs/a", None).unwrap_err();
        assert_eq!(fault.kind, kind);
        assert_eq!(fault.message, "see https://h/?… for more");
        assert_eq!(calls(&patient), 1);
    }
}

#[test]
fn attempts_at_short_file() {
    let patient = patient(&[FaultKind::Truncated; 9]);
    let fault = patient.get("packs/a", None).unwrap_err();
    assert!(fault.message.ends_with("(3 attempts in 1s)"), "{}", fault.message);
}

#[test]
fn attempts_at_silent_store() {
    let silent = patient(&[FaultKind::Unavailable; 9]);
    silent.put("a", b"").unwrap_err();
    assert_eq!(calls(&silent), 5);
    let answered = patient(&[FaultKind::Unavailable; 9]);
    answered.has_succeeded.store(true, Ordering::Relaxed);
    answered.put("a", b"").unwrap();
    assert_eq!(calls(&answered), 10);
}

#[test]
fn pause_beyond_patience() {
    let patient = patient(&[FaultKind::Busy(Some(Duration::from_secs(3600)))]);
    let fault = patient.list("index").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Busy(Some(Duration::from_secs(3600))));
    assert_eq!(calls(&patient), 1);
    assert_eq!(patient.limiter.limit(), 8.0);
}

#[test]
fn pause_of_the_store() {
    let patient = patient(&[]);
    for asked in [0, 3, 90] {
        let asked = Duration::from_secs(asked);
        assert!(patient.pause(1, FaultKind::Busy(Some(asked))) >= asked);
    }
    for attempts in 1..40 {
        assert!(patient.pause(attempts, FaultKind::Busy(None)) <= patient.patience.longest);
    }
}

#[test]
fn limit_halves_and_recovers() {
    let patient = patient(&[FaultKind::Busy(None); 2]);
    patient.put("a", b"").unwrap();
    let halved = patient.limiter.limit();
    assert!((2.0..3.0).contains(&halved), "{halved}");
    for _ in 0..60 {
        patient.put("a", b"").unwrap();
    }
    assert_eq!(patient.limiter.limit(), 8.0);
}

#[test]
fn burst_halves_once() {
    let limiter = Limiter::new(16);
    let started = Instant::now();
    for _ in 0..16 {
        limiter.pause(started, Duration::ZERO);
    }
    assert_eq!(limiter.limit(), 8.0);
}

#[test]
fn calls_at_once_are_limited() {
    let patient =
        Patient::new(Scripted::new(&[]), "lab", location(), Some(2), patient(&[]).patience);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| patient.put("a", b"").unwrap()));
        }
    });
    assert!(patient.inner.most.load(Ordering::SeqCst) <= 2);
    assert_eq!(calls(&patient), 400);
}
