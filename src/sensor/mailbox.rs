//! Handing work to another thread without ever waiting for it.
//!
//! Owns: a fixed number of places and a bell. Must not own: what is handed over. What does not fit comes back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// A mailbox with a fixed number of places.
#[derive(Debug)]
pub struct Mailbox<T> {
    places: Box<[Mutex<Option<T>>]>,
    bell: OwnedFd,
}

impl<T> Mailbox<T> {
    /// An empty one.
    pub fn new(places: usize) -> io::Result<Self> {
        Ok(Self {
            places: std::iter::repeat_with(Mutex::default).take(places).collect(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)?,
        })
    }

    /// Puts something in; it comes back where there is no room. Never waits.
    pub fn put(&self, item: T) -> Result<(), T> {
        for place in &self.places {
            if let Ok(mut place) = place.try_lock()
                && place.is_none()
            {
                *place = Some(item);
                drop(place);
                self.ring();
                return Ok(());
            }
        }
        Err(item)
    }

    /// Takes something out, if anything is in.
    pub fn take(&self) -> Option<T> {
        self.places.iter().find_map(|place| place.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    /// Waits for the bell: once for each time it was rung.
    pub fn wait(&self) {
        // Only a signal ends it early; then there is nothing to take.
        let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
    }

    /// Rings the bell, with nothing put in.
    pub fn ring(&self) {
        // It could only fail or wait after 2^64 rings.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

impl<T> AsFd for Mailbox<T> {
    /// The bell: readable when it was rung and nobody has waited for that ring.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_comes_back() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!((mailbox.put(1), mailbox.put(2), mailbox.put(3)), (Ok(()), Ok(()), Err(3)));
        mailbox.wait();
        mailbox.wait();
        let mut taken = [mailbox.take().unwrap(), mailbox.take().unwrap()];
        taken.sort_unstable();
        assert_eq!((taken, mailbox.take()), ([1, 2], None));
        assert_eq!(mailbox.put(4), Ok(()));
    }

    #[test]
    fn everything_arrives_once() {
        let mailbox = std::sync::Arc::new(Mailbox::new(4).unwrap());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || {
                    let mut sum = 0u64;
                    loop {
                        mailbox.wait();
                        match mailbox.take() {
                            Some(0) => return sum,
                            Some(n) => sum += n,
                            None => {}
                        }
                    }
                })
            })
            .collect();
        let put = |n: u64| while mailbox.put(n).is_err() {};
        (1..=2000).for_each(put);
        // Each worker must end: the work before the ends may be taken after one of them.
        (0..3).for_each(|_| put(0));
        let sum: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        let left = std::iter::from_fn(|| mailbox.take()).sum::<u64>();
        assert_eq!(sum + left, 2000 * 2001 / 2);
    }
}
