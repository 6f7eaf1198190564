//! Assignment of registers to the values of straight-line code, in one pass. Where there are too few, the value whose next use
//! is farthest away is evicted (L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
//! Journal 5, 1966). Values that are in memory anyway, inputs and constants, need not be stored then.

/// A set of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Vectors,
    Masks,
}

/// Where values are.
#[derive(Debug)]
pub(super) struct Registers {
    /// The value in each register of each file.
    owners: [Vec<Option<u32>>; 2],
    /// The register of each value.
    registers: Vec<Option<u8>>,
    /// The stack slot of each value that was evicted.
    slots: Vec<Option<u32>>,
    free_slots: Vec<u32>,
    /// Slots of values that the current instruction may still read.
    released_slots: Vec<u32>,
    slot_count: u32,
    /// The positions at which each value is read, the last one first.
    uses: Vec<Vec<u32>>,
    /// Whether the value can be read from memory without having been stored.
    in_memory: Vec<bool>,
    /// Whether the value keeps its register in all iterations.
    pinned: Vec<bool>,
}

/// A value that must be stored in a stack slot before its register is overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Eviction {
    pub value: u32,
    pub register: u8,
    pub slot: u32,
}

impl Registers {
    /// Registers for values that are read at these positions, ascending.
    pub fn new(vectors: usize, masks: usize, mut uses: Vec<Vec<u32>>, in_memory: Vec<bool>) -> Self {
        uses.iter_mut().for_each(|uses| uses.reverse());
        Self {
            owners: [vec![None; vectors], vec![None; masks]],
            registers: vec![None; uses.len()],
            slots: vec![None; uses.len()],
            free_slots: Vec::new(),
            released_slots: Vec::new(),
            slot_count: 0,
            pinned: vec![false; uses.len()],
            uses,
            in_memory,
        }
    }

    /// Gives a value a vector register for all iterations; `None` if there is none.
    pub fn pin(&mut self, value: u32) -> Option<u8> {
        let register = self.owners[File::Vectors as usize].iter().rposition(Option::is_none)? as u8;
        self.assign(File::Vectors, value, register);
        self.pinned[value as usize] = true;
        Some(register)
    }

    /// The register of a value.
    pub fn register(&self, value: u32) -> Option<u8> {
        self.registers[value as usize]
    }

    /// The stack slot of a value.
    pub fn slot(&self, value: u32) -> Option<u32> {
        self.slots[value as usize]
    }

    /// The number of stack slots.
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// The numbers of the vector registers that hold values.
    pub fn used_vectors(&self) -> Vec<u8> {
        let owners = (0u8..).zip(&self.owners[File::Vectors as usize]);
        owners.filter(|(_, owner)| owner.is_some()).map(|(register, _)| register).collect()
    }

    /// A stack slot.
    pub fn new_slot(&mut self) -> u32 {
        self.free_slots.pop().unwrap_or_else(|| {
            self.slot_count += 1;
            self.slot_count - 1
        })
    }

    /// Frees a stack slot.
    pub fn free_slot(&mut self, slot: u32) {
        self.free_slots.push(slot);
    }

    /// The number of reads of a value at a position and after it.
    pub fn reads_from(&self, value: u32, position: u32) -> usize {
        self.uses[value as usize].iter().filter(|&&read| read >= position).count()
    }

    /// Whether a value is not read after a position.
    pub fn is_last_use(&self, value: u32, position: u32) -> bool {
        self.uses[value as usize].first().is_none_or(|&last| last <= position)
    }

    /// Takes a register for a value, other than those of `locked` values. A value that has to leave it must be stored if an
    /// eviction is returned.
    pub fn take(&mut self, file: File, value: u32, position: u32, locked: &[u32]) -> (u8, Option<Eviction>) {
        let owners = &self.owners[file as usize];
        let free = owners.iter().position(Option::is_none);
        let (register, eviction) = match free {
            Some(register) => (register, None),
            None => {
                let next_use = |owner: u32| {
                    let uses = self.uses[owner as usize].iter().rev();
                    uses.copied().find(|&read| read >= position).unwrap_or(u32::MAX)
                };
                let candidates = owners.iter().enumerate().filter_map(|(register, owner)| {
                    let owner = (*owner)?;
                    (!locked.contains(&owner) && !self.pinned[owner as usize]).then_some((
                        next_use(owner),
                        register,
                        owner,
                    ))
                });
                // An op has at most three operands, and more registers are not pinned, so there is always a candidate.
                let (_, register, owner) = candidates.max().unwrap_or_default();
                (register, self.evict(owner, register as u8))
            }
        };
        self.assign(file, value, register as u8);
        (register as u8, eviction)
    }

    fn evict(&mut self, owner: u32, register: u8) -> Option<Eviction> {
        self.registers[owner as usize] = None;
        if self.in_memory[owner as usize] || self.slots[owner as usize].is_some() {
            return None;
        }
        let slot = self.new_slot();
        self.slots[owner as usize] = Some(slot);
        Some(Eviction { value: owner, register, slot })
    }

    fn assign(&mut self, file: File, value: u32, register: u8) {
        self.owners[file as usize][usize::from(register)] = Some(value);
        self.registers[value as usize] = Some(register);
    }

    /// Gives the register of a value, which is not read any more, to another one.
    pub fn hand_over(&mut self, file: File, from: u32, to: u32) -> Option<u8> {
        let register = self.registers[from as usize].take()?;
        self.assign(file, to, register);
        Some(register)
    }

    /// Frees the register and the slot of a value if it is not read after a position.
    pub fn release(&mut self, file: File, value: u32, position: u32) {
        if !self.is_last_use(value, position) || self.pinned[value as usize] {
            return;
        }
        if let Some(register) = self.registers[value as usize].take() {
            self.owners[file as usize][usize::from(register)] = None;
        }
        if let Some(slot) = self.slots[value as usize].take() {
            self.released_slots.push(slot);
        }
    }

    /// Makes the slots of released values available: the instructions that read them are complete.
    pub fn reuse_slots(&mut self) {
        self.free_slots.append(&mut self.released_slots);
    }
}
