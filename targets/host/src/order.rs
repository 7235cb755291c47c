//! In which order processes run.
//!
//! A process whose channels all come from earlier processes can run all its bins before those of its
//! consumers, which keeps its state and its code at hand. Where a channel leads back, everything from its
//! consumer to its producer runs bin by bin. That is the order of the definition in both cases, and backwards
//! the same holds for consumers and producers, from the last group and bin to the first: errors go the other
//! way over the same channels.

use std::ops::Range;

use nirc_ir::entity::Entity;
use nirc_ir::event::Program;

/// The processes in groups, each of which runs all its bins before the next.
pub(crate) fn groups(program: &Program) -> Vec<Range<usize>> {
    // The end of the last process that each one needs.
    let mut needs: Vec<usize> = (1..=program.processes.len()).collect();
    for channel in program.channels.values() {
        let need = &mut needs[channel.to.index()];
        *need = (*need).max(channel.from.index() + 1);
    }
    let mut groups = Vec::new();
    let mut start = 0;
    while start < needs.len() {
        let (mut end, mut at) = (start + 1, start);
        while at < end {
            end = end.max(needs[at]);
            at += 1;
        }
        groups.push(start..end);
        start = end;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use nirc_ir::text::{Externals, parse_program};

    #[test]
    fn only_what_lies_on_a_way_back_is_interleaved() {
        let mut text = "program p ticks = 2 dt = 0.001 first_tick = 1 replicas = 1 {\n".to_owned();
        for (k, (from, to)) in [(1, 1), (4, 2), (2, 3), (5, 3), (6, 7)].iter().enumerate() {
            text += &format!("chan{k} : proc{from} -> proc{to} delay 1 ; p -> p\n");
        }
        for k in 0..9 {
            text += &format!("proc{k} p{k} : neurons lanes 1 {{\n}}\n");
        }
        let program = parse_program(&(text + "}\n"), &Externals::new()).expect("it parses");
        assert_eq!(groups(&program), [0..1, 1..2, 2..6, 6..7, 7..8, 8..9]);
    }
}
