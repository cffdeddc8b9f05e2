//! `cargo xtask docker` and `cargo xtask test docker`: the walk-through in containers, on the engine of the system.

mod base;
mod engine;
mod walk;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::{dist, install};
use engine::{docker, docker_in_view};

pub(crate) use engine::Engine;

/// What users may have in mind when they read "small".
const LIMIT: u64 = 100_000_000;

/// What the image is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The sources, compiled while the image is built, as users do.
    Context,
    /// The installed tree, compiled here.
    Tree,
}

/// Builds the image and brings the demo up, until it is interrupted.
pub(crate) fn run(source: Source, road_warrior: bool) -> Result<(), String> {
    let engine = Engine::find()?;
    build("pqswan", source, "pqswan-build")?;
    let folder = xtask::root().join("docker");
    engine::shown(Command::new("sh").arg(folder.join("scripts/gen_dirs.sh")))?;
    let folder = if road_warrior {
        folder.join("road-warrior")
    } else {
        folder
    };
    println!("In other terminals: docker exec -ti moon /bin/bash, docker exec -ti carol /bin/bash");
    let up = engine::shown(engine.compose(&folder, "pqswan").arg("up"));
    // An interrupt has stopped the containers; this removes them.
    let down = engine::shown(engine.compose(&folder, "pqswan").arg("down"));
    crate::run::check().and(up).and(down)
}

/// Walks through both variants in containers of this run.
pub(crate) fn test(engine: &Engine) -> Result<(), String> {
    let name = format!("pqswan-test-{}", std::process::id());
    let made = Made { name: name.clone() };
    let bases = build(&name, Source::Tree, &name)?;
    let size: u64 = docker(&["image", "inspect", "--format", "{{.Size}}", &name])?
        .trim()
        .parse()
        .map_err(|error| format!("the size of the image: {error}"))?;
    println!("the image has {} MB", size / 1_000_000);
    if size >= LIMIT {
        return Err(format!("the image has {size} octets, {LIMIT} are too many"));
    }
    let walked = walk::all(engine, &name);
    drop((made, bases));
    walked
}

/// Builds the image, by the Dockerfile that users build. What stages leave behind is labelled with the run.
fn build(image: &str, source: Source, run: &str) -> Result<base::Bases, String> {
    let root = xtask::root();
    let work = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let mut bases = base::Bases::default();
    bases.debian()?;
    let label = format!("RUN={run}");
    let mut arguments = vec!["build", "--tag", image, "--build-arg", &label];
    let context = match source {
        Source::Context => {
            bases.rust()?;
            root
        }
        Source::Tree => {
            install::ensure(&[install::BUILD])?;
            dist::run(&xtask::installed())?;
            context(work.path())?;
            arguments.extend(["--build-arg", "TREE=tree", "--build-arg", base::BUILDER_OF_TREE]);
            work.path()
        }
    };
    let file = context.join("docker/Dockerfile");
    let (file, context) = (file.to_string_lossy(), context.to_string_lossy());
    arguments.extend(["--file", &file, &context]);
    docker_in_view(&arguments)?;
    Ok(bases)
}

/// A context with the installed tree in place of the sources.
fn context(folder: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", folder.display());
    let docker = xtask::root().join("docker");
    fs::create_dir_all(folder.join("docker/scripts")).map_err(failed)?;
    for file in ["Dockerfile", "scripts/system.sh"] {
        fs::copy(docker.join(file), folder.join("docker").join(file)).map_err(failed)?;
    }
    let tree = folder.join("tree");
    engine::quiet(Command::new("cp").arg("-a").arg(xtask::installed()).arg(&tree))?;
    engine::quiet(Command::new("sh").arg(docker.join("scripts/strip.sh")).arg(&tree))
}

/// What a run has made; it goes with this.
struct Made {
    name: String,
}

impl Drop for Made {
    fn drop(&mut self) {
        // What is not there cannot be removed.
        let _ = docker(&["image", "rm", "--force", &self.name]);
        let filter = format!("label=pqswan.run={}", self.name);
        let _ = docker(&["image", "prune", "--force", "--filter", &filter]);
    }
}

/// A copy of the configuration of a variant, which the containers may write to.
fn configuration(variant: &str, folder: &Path) -> Result<(), String> {
    let from = xtask::root().join("docker").join(variant);
    let failed = |error| format!("{}: {error}", folder.display());
    for host in ["moon", "carol"] {
        fs::create_dir_all(folder.join(host)).map_err(failed)?;
        for file in ["ipsec.conf", "ipsec.secrets", "strongswan.conf"] {
            let file = Path::new(host).join(file);
            fs::copy(from.join(&file), folder.join(&file)).map_err(failed)?;
        }
    }
    fs::copy(from.join("docker-compose.yml"), folder.join("docker-compose.yml")).map_err(failed)?;
    // gen_dirs.sh makes folders beside itself.
    fs::create_dir_all(folder.join("scripts")).map_err(failed)?;
    let script = xtask::root().join("docker/scripts/gen_dirs.sh");
    fs::copy(script, folder.join("scripts/gen_dirs.sh")).map_err(failed)?;
    symlink(".", folder.join("road-warrior")).map_err(failed)?;
    engine::quiet(Command::new("sh").arg(folder.join("scripts/gen_dirs.sh")))
}
