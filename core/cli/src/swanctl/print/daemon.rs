//! What there is to say of the daemon itself: version, state, algorithms, counters, pools.

use std::io::{self, Write};

use control::vici::Message;

use super::{has_section, sections, value, values};

pub(in crate::swanctl) fn version(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    let of = |key| value(message, key);
    // strongSwan's is a number alone.
    let number = of("version").starts_with(|c: char| c.is_ascii_digit());
    writeln!(
        out,
        "{}{} {} ({}, {}, {})",
        if number { "strongSwan " } else { "" },
        of("version"),
        of("daemon"),
        of("sysname"),
        of("release"),
        of("machine")
    )
}

pub(in crate::swanctl) fn stats(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    let of = |key: &str| value(message, key);
    let by_priority = |section: &str| {
        ["critical", "high", "medium", "low"]
            .map(|priority| of(&format!("{section}.{priority}")))
            .join("/")
    };
    writeln!(
        out,
        "uptime: {}, since {}",
        of("uptime.running"),
        of("uptime.since")
    )?;
    writeln!(
        out,
        "worker threads: {} total, {} idle, working: {}",
        of("workers.total"),
        of("workers.idle"),
        by_priority("workers.active")
    )?;
    writeln!(out, "job queues: {}", by_priority("queues"))?;
    writeln!(out, "jobs scheduled: {}", of("scheduled"))?;
    writeln!(
        out,
        "IKE_SAs: {} total, {} half-open",
        of("ikesas.total"),
        of("ikesas.half-open")
    )?;
    if has_section(message, "mem") {
        let (total, allocs) = (of("mem.total"), of("mem.allocs"));
        writeln!(out, "memory usage: {total} bytes, {allocs} allocations")?;
    }
    if has_section(message, "mallinfo") {
        writeln!(
            out,
            "mallinfo: sbrk {}, mmap {}, used {}, free {}",
            of("mallinfo.sbrk"),
            of("mallinfo.mmap"),
            of("mallinfo.used"),
            of("mallinfo.free")
        )?;
    }
    write!(out, "loaded plugins:")?;
    for plugin in message.get_texts("plugins") {
        write!(out, " {plugin}")?;
    }
    writeln!(out)
}

pub(in crate::swanctl) fn algorithms(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (kind, algorithms) in sections(message) {
        writeln!(out, "{kind}:")?;
        for (name, plugin) in values(&algorithms) {
            writeln!(out, "  {name}[{plugin}]")?;
        }
    }
    Ok(())
}

pub(in crate::swanctl) fn counters(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    let all = message.get_section("counters");
    for (name, counters) in sections(&all) {
        writeln!(out, "{}:", if name.is_empty() { "global" } else { name })?;
        for (counter, count) in values(&counters) {
            writeln!(out, "  {counter:<22}: {count}")?;
        }
    }
    Ok(())
}

pub(in crate::swanctl) fn pools(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (name, pool) in sections(message) {
        let of = |key| value(&pool, key);
        let usage = format!("{} / {} / {}", of("online"), of("offline"), of("size"));
        writeln!(out, "{name:<20} {:<30} {usage:>16}", of("base"))?;
        let leases = pool.get_section("leases");
        for (_, lease) in sections(&leases) {
            let of = |key| value(&lease, key);
            writeln!(
                out,
                "  {:<30} {:<8} '{}'",
                of("address"),
                of("status"),
                of("identity")
            )?;
        }
    }
    Ok(())
}
