//! Checks that no token is granted before it is earned, and that no window has more grants than it
//! allows.

use std::io;

use super::contenders::{BRIMFUL, ON_TOKIO};
use super::crowd;
use crate::bench::Scale;
use crate::report::{Bar, Report};

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "early: 10^5 grants on the real clock, 50000/s, burst 10, to 1000 tasks";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    let names = [BRIMFUL, ON_TOKIO];
    let words = |name: &str| ["crowd", name, "1000", "100", "50000", "10"].map(str::to_owned).to_vec();
    println!("\n{SCENARIO}");
    crowd::tell(SCENARIO, &names, scale.runs, words, report)?;
    for name in names {
        let bars = [
            ("grants", Bar::AtLeast(100_000.0), "served"),
            ("early grants", Bar::AtMost(0.0), "early"),
            ("excess at grants, tokens", Bar::AtMost(0.0), "excess at grant"),
        ];
        for (what, bar, measure) in bars {
            let measured = report.get(SCENARIO, name, measure);
            report.bar(&format!("early: {name}: {what}"), bar, measured);
        }
    }
    Ok(())
}
