//! What plugins built before rely on: `frozen.txt` has every type that crosses the boundary, as it was when its
//! interface was published. An entry may be added, never changed.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::std_types::utypeid::UTypeId;
use abi_stable::type_layout::{TLData, TLField, TypeLayout};

use super::algorithms::KernelAlgorithms1;
use super::control::{ControlMaker1, ListenerMaker1};
use super::demands::KernelDemands1;
use super::host::Host1;
use super::kernel::{KernelIpsecMaker1, KernelIpsecMaker2, KernelIpsecMaker3, KernelNetMaker1};
use super::key_exchange::KeyExchange1;
use super::migration::KernelMigration1;
use super::object::Interface;
use super::random::{Nonce1, Random1};
use super::root::{API, PluginRootRef};
use super::symmetric::{Aead1, Cipher1, Hasher1, Integrity1, Prf1};

/// What is reachable from a type, each described once.
#[derive(Default)]
struct Description {
    text: String,
    seen: HashSet<UTypeId>,
}

impl Description {
    fn interface<T: Interface>(&mut self) {
        writeln!(self.text, "interface {}: {}\n", T::NAME, T::LAYOUT.full_type()).unwrap();
        self.of(T::LAYOUT);
    }

    fn of(&mut self, layout: &'static TypeLayout) {
        if !self.seen.insert(layout.get_utypeid()) {
            return;
        }
        // Those of abi_stable are compared by its version, which every library carries.
        if layout.package() == env!("CARGO_PKG_NAME") {
            let (name, size, align) = (layout.full_type(), layout.size(), layout.alignment());
            writeln!(self.text, "{name}, size {size}, alignment {align}").unwrap();
            if let TLData::Enum(variants) = layout.data() {
                for variant in variants.variant_names_iter() {
                    writeln!(self.text, "    variant {variant}").unwrap();
                }
            }
            let fields = layout
                .get_fields()
                .map(|fields| fields.to_vec())
                .unwrap_or_default();
            fields.iter().for_each(|field| self.field(field));
            self.text.push('\n');
        }
        for inner in layout.shared_vars().type_layouts() {
            self.of(inner());
        }
    }

    fn field(&mut self, field: &TLField) {
        let functions = field.function_range();
        if functions.is_empty() {
            writeln!(self.text, "    {}: {}", field.name(), shape(field.layout())).unwrap();
        }
        for function in functions.iter() {
            let parameters: Vec<_> = function
                .param_type_layouts
                .iter()
                .map(|parameter| shape(parameter()))
                .collect();
            let answer = function
                .return_type_layout()
                .map(|layout| format!(" -> {}", shape(layout())));
            let (name, parameters) = (field.name(), parameters.join(", "));
            writeln!(
                self.text,
                "    {name}: fn({parameters}){}",
                answer.unwrap_or_default()
            )
            .unwrap();
        }
    }
}

/// A type in a line; of generic ones of abi_stable also what they hold, which their names leave out.
fn shape(layout: &'static TypeLayout) -> String {
    let name = layout.name();
    let fields = layout
        .get_fields()
        .map(|fields| fields.to_vec())
        .unwrap_or_default();
    let held: Vec<String> = match name {
        "RResult" | "ROption" => fields.iter().map(|field| shape(field.layout())).collect(),
        // The first field points to the elements.
        "RVec" | "RSlice" | "RSliceMut" => {
            let pointer = fields.first().map(TLField::layout);
            let element = pointer.and_then(|it| it.shared_vars().type_layouts().first());
            element.into_iter().map(|element| shape(element())).collect()
        }
        _ => return layout.full_type().to_string().trim().to_owned(),
    };
    format!("{name}<{}>", held.join(", "))
}

/// Types of pointer size are as long as they are here; both supported machines have 64 bits.
#[cfg(target_pointer_width = "64")]
#[test]
fn what_crosses_the_boundary_is_what_it_was() {
    let mut now = Description::default();
    writeln!(
        now.text,
        "root, API {API}: {}\n",
        PluginRootRef::LAYOUT.full_type()
    )
    .unwrap();
    now.of(PluginRootRef::LAYOUT);
    now.interface::<Host1>();
    now.interface::<KeyExchange1>();
    now.interface::<Aead1>();
    now.interface::<Cipher1>();
    now.interface::<Prf1>();
    now.interface::<Integrity1>();
    now.interface::<Hasher1>();
    now.interface::<Random1>();
    now.interface::<Nonce1>();
    now.interface::<KernelIpsecMaker1>();
    now.interface::<KernelNetMaker1>();
    now.interface::<ControlMaker1>();
    now.interface::<ListenerMaker1>();
    now.interface::<KernelIpsecMaker2>();
    now.interface::<KernelMigration1>();
    now.interface::<KernelAlgorithms1>();
    now.interface::<KernelDemands1>();
    now.interface::<KernelIpsecMaker3>();

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/abi/frozen.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now.text).unwrap();
    }
    let then = std::fs::read_to_string(&path).unwrap();
    let gone: Vec<&str> = then
        .lines()
        .filter(|line| !now.text.lines().any(|it| it == *line))
        .collect();
    assert!(
        gone.is_empty(),
        "plugins built before would be refused; leave these as they were and add an interface of a new name:\n{}",
        gone.join("\n")
    );
    assert_eq!(
        then, now.text,
        "new types are written to frozen.txt with UPDATE_GOLDEN=1"
    );
}
