package fedmodel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Op is one kind of thing that happens to a federation.
type Op string

// What can happen. A is the node that it happens to, B another one, N a number
// whose meaning the op gives; nodes are counted from 0 in order of admission,
// and the number after the last is the copy, if there is one.
const (
	OpEdit      Op = "edit"      // N records of A are written anew, as drafts
	OpBulk      Op = "bulk"      // so many records of A that a second signature is needed
	OpDelete    Op = "delete"    // N records of A are deleted, as a draft
	OpErase     Op = "erase"     // N records of A are erased, as a draft
	OpPublish   Op = "publish"   // A's drafts are published
	OpNothing   Op = "nothing"   // A publishes what changes nothing
	OpCrash     Op = "crash"     // A is killed while it publishes: N 0 before, 1 after the commit
	OpCut       Op = "cut"       // no more contact between A and B
	OpCutOneWay Op = "cutoneway" // what A sends to B is lost
	OpPart      Op = "part"      // the nodes whose bits are set in N are cut off from the others
	OpHeal      Op = "heal"      // A and B reach each other again
	OpHealAll   Op = "healall"
	OpKill      Op = "kill"    // A's process ends without warning
	OpStart     Op = "start"   // A is started
	OpBackup    Op = "backup"  // a backup of A's database is made, and an image of its machine
	OpRestore   Op = "restore" // A's database is put back from the backup; what lies beside it stays
	OpRewind    Op = "rewind"  // A's whole machine is put back from the image
	OpLose      Op = "lose"    // A's database is lost, and the guard with it; its keys are not
	OpClone     Op = "clone"   // an image of A's machine is started elsewhere
	OpSteal     Op = "steal"   // somebody with A's publish key, and a program of their own, begins to publish
	OpUnclone   Op = "unclone" // the copy is switched off
	OpCopyEdit  Op = "copyedit"
	OpCopyPub   Op = "copypublish" // the copy publishes
	OpRotate    Op = "rotate"      // A's publish key is replaced, as planned
	OpRevoke    Op = "revoke"      // A's publish key is revoked, and the feed goes back to the last good head
	OpBump      Op = "bump"        // A's feed gets a new epoch
	OpSuspend   Op = "suspend"     // the others suspend A's country, without the registry
	OpResume    Op = "resume"
	OpAnchor    Op = "anchor"  // the registry puts on record what A holds
	OpCorrupt   Op = "corrupt" // a record that A holds of B's feed rots on A's disk: N 0 a bit flips, 1 it is gone
	OpForget    Op = "forget"  // a month passes for A's disk: nothing is kept for undoing any more
	OpClock     Op = "clock"   // A's clock jumps by N minutes
	OpFull      Op = "full"    // A's disk is full
	OpFree      Op = "free"    // A's disk has room again
	OpLie       Op = "lie"     // A answers its peers with lies; N is the bit set of the ways
	OpHonest    Op = "honest"  // A answers as it should
	OpWait      Op = "wait"    // nothing happens for N seconds

	OpEraseOld  Op = "eraseold"  // N records that A has deleted are erased, as a draft
	OpRotGuard  Op = "rotguard"  // A's publish guard rots: N 0 it cannot be read any more, 1 it is gone
	OpRotDocket Op = "rotdocket" // an item of the docket rots on A's disk
)

// Step is one thing that happens, some time after the one before.
type Step struct {
	After   time.Duration
	Op      Op
	A, B, N int
}

// String is the step as ParsePlan reads it: the pause, the op and three numbers.
func (s Step) String() string { return fmt.Sprintf("%v %s %d %d %d", s.After, s.Op, s.A, s.B, s.N) }

// Plan is what happens to one federation: everything that is not left to the
// scheduler. The same seed gives the same plan.
type Plan struct {
	Seed   uint64
	Nodes  int
	Hidden int // so many of them, the last ones, cannot be called: they keep reverse connections
	Steps  []Step
}

// String is the plan in the form that ParsePlan reads, a step a line.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d nodes %d hidden %d\n", p.Seed, p.Nodes, p.Hidden)
	for _, s := range p.Steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// ParsePlan reads what String writes. Empty lines and lines that begin with #
// are passed over, so that a plan can be cut down and commented by hand.
func ParsePlan(text string) (Plan, error) {
	var p Plan
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if p.Nodes == 0 {
			_, err := fmt.Sscanf(line, "seed %d nodes %d hidden %d", &p.Seed, &p.Nodes, &p.Hidden)
			if err != nil || p.Nodes < 2 || p.Nodes > maxNodes || p.Hidden < 0 || p.Hidden > p.Nodes-2 {
				return p, fmt.Errorf("plan, line %d: %q is no first line; it reads \"seed 1 nodes 4 hidden 0\"", i+1, line)
			}
			continue
		}
		f := strings.Fields(line)
		if len(f) != 5 || weights[Op(f[1])] == (weight{}) {
			return p, fmt.Errorf("plan, line %d: %q is no step; one reads \"300ms cut 0 1 0\"", i+1, line)
		}
		s := Step{Op: Op(f[1])}
		var err error
		if s.After, err = time.ParseDuration(f[0]); err != nil {
			return p, fmt.Errorf("plan, line %d: %w", i+1, err)
		}
		for j, to := range []*int{&s.A, &s.B, &s.N} {
			if *to, err = strconv.Atoi(f[2+j]); err != nil {
				return p, fmt.Errorf("plan, line %d: %w", i+1, err)
			}
		}
		p.Steps = append(p.Steps, s)
	}
	if p.Nodes == 0 {
		return p, fmt.Errorf("an empty plan")
	}
	return p, nil
}

// weight is how often an op comes, and the group with which it is left out.
type weight struct {
	often int
	group string // "" is always in
	late  bool   // only in plans of seeds after [FirstSeeds]
}

// FirstSeeds is the last seed of the first plans. What can happen has grown since;
// these seeds go on giving the plans that they gave, so that their numbers still
// say something.
const FirstSeeds = 1 << 40

// weights of the ops. Each plan leaves about half of the groups out, so that
// what is left happens often enough to meet itself: a swarm of different plans
// finds more than many alike.
var weights = map[Op]weight{
	OpEdit:      {14, "", false},
	OpPublish:   {16, "", false},
	OpWait:      {3, "", false},
	OpDelete:    {5, "delete", false},
	OpErase:     {4, "erase", false},
	OpBulk:      {2, "bulk", false},
	OpNothing:   {1, "bulk", false},
	OpCut:       {6, "cut", false},
	OpCutOneWay: {3, "cut", false},
	OpPart:      {3, "cut", false},
	OpHeal:      {5, "cut", false},
	OpHealAll:   {3, "cut", false},
	OpKill:      {4, "kill", false},
	OpStart:     {6, "kill", false},
	OpCrash:     {3, "kill", false},
	OpBackup:    {4, "restore", false},
	OpRestore:   {3, "restore", false},
	OpRewind:    {1, "rewind", false},
	OpLose:      {1, "rewind", false},
	OpClone:     {2, "clone", false},
	OpSteal:     {2, "steal", false},
	OpUnclone:   {1, "clone", false},
	OpCopyEdit:  {4, "copy", false},
	OpCopyPub:   {4, "copy", false},
	OpRotate:    {3, "keys", false},
	OpRevoke:    {2, "keys", false},
	OpBump:      {2, "keys", false},
	OpAnchor:    {2, "keys", false},
	OpSuspend:   {2, "suspend", false},
	OpResume:    {3, "suspend", false},
	OpCorrupt:   {4, "corrupt", false},
	OpForget:    {3, "forget", false},
	OpClock:     {3, "clock", false},
	OpFull:      {2, "full", false},
	OpFree:      {3, "full", false},
	OpLie:       {4, "lie", false},
	OpHonest:    {2, "lie", false},
	OpEraseOld:  {3, "erase", true},
	OpRotGuard:  {2, "corrupt", true},
	OpRotDocket: {2, "corrupt", true},
}

const maxNodes = 8

// pauses between steps, in virtual time.
var pauses = []time.Duration{0, 0, 5 * time.Millisecond, 60 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 7 * time.Second, 20 * time.Second}

// Generate makes the plan of a seed, with the given number of steps.
func Generate(seed uint64, steps int) Plan {
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	p := Plan{Seed: seed, Nodes: 3 + rng.IntN(3)}
	if p.Hidden = rng.IntN(4) - 1; p.Hidden > p.Nodes-2 || p.Hidden < 0 {
		p.Hidden = 0
	}
	left := map[string]bool{}
	for _, op := range ops {
		if g := weights[op].group; g != "" && g != "copy" {
			if _, drawn := left[g]; !drawn {
				left[g] = rng.IntN(2) == 0
			}
		}
	}
	left["copy"] = left["clone"] && left["steal"] // a copy that does nothing shows nothing
	first := seed <= FirstSeeds
	gambits := gambits
	if !first {
		gambits = slices.Concat(gambits, lateGambits)
	}
	var in []Op
	for _, op := range ops {
		if !left[weights[op].group] && !(first && weights[op].late) {
			for range weights[op].often {
				in = append(in, op)
			}
		}
	}
	for len(p.Steps) < steps {
		if g := gambits[rng.IntN(len(gambits))]; rng.IntN(14) == 0 && !slices.ContainsFunc(g, func(o Op) bool { return left[weights[o].group] }) {
			p.Steps = append(p.Steps, p.gambit(rng, g)...)
		} else {
			p.Steps = append(p.Steps, p.draw(rng, in[rng.IntN(len(in))]))
		}
	}
	p.Steps = p.Steps[:steps]
	return p
}

// draw makes a step of an op.
func (p *Plan) draw(rng *rand.Rand, op Op) Step {
	s := Step{After: pauses[rng.IntN(len(pauses))], Op: op, A: rng.IntN(p.Nodes), B: rng.IntN(p.Nodes)}
	// Few members write much rather than many little: that is how they get far
	// enough apart.
	if rng.IntN(2) == 0 && (op == OpEdit || op == OpPublish || op == OpDelete || op == OpErase || op == OpEraseOld) {
		s.A = 0
	}
	s.N = op.number(rng, p.Nodes)
	if op == OpCut || op == OpCutOneWay || op == OpHeal {
		s.A, s.B = rng.IntN(p.Nodes+1), rng.IntN(p.Nodes+1) // the copy is cut off like any other
	}
	return s
}

// gambits are sequences of steps that happen to one node and seldom come about
// by chance. A part in them cuts that node off from all others.
var gambits = [][]Op{
	{OpBackup, OpEdit, OpPublish, OpPart, OpRestore, OpEdit, OpPublish, OpWait, OpHealAll},
	{OpBackup, OpEdit, OpPublish, OpPart, OpRewind, OpEdit, OpPublish, OpHealAll},
	{OpEdit, OpPublish, OpPart, OpKill, OpStart, OpEdit, OpPublish, OpEdit, OpPublish, OpHealAll},
	{OpEdit, OpPublish, OpClone, OpPart, OpEdit, OpPublish, OpCopyEdit, OpCopyPub, OpHealAll},
	{OpEdit, OpPublish, OpSteal, OpCopyEdit, OpCopyPub, OpWait, OpRevoke, OpEdit, OpPublish},
	{OpEdit, OpPublish, OpSteal, OpPart, OpCopyEdit, OpCopyPub, OpRevoke, OpHealAll, OpEdit, OpPublish},
	{OpEdit, OpCrash, OpPart, OpStart, OpEdit, OpPublish, OpHealAll},
	{OpEdit, OpPublish, OpEdit, OpPublish, OpErase, OpPublish, OpForget},
	{OpEdit, OpPublish, OpFull, OpEdit, OpPublish, OpFree, OpPublish},
	{OpEdit, OpPublish, OpRotate, OpEdit, OpPublish, OpRestore, OpEdit, OpPublish},
	{OpEdit, OpPublish, OpBump, OpPart, OpEdit, OpPublish, OpHealAll},
	{OpEdit, OpPublish, OpCorrupt, OpKill, OpStart, OpEdit, OpPublish},
}

// lateGambits are those with steps that the first plans do not have.
var lateGambits = [][]Op{
	{OpEdit, OpPublish, OpDelete, OpPublish, OpPart, OpEraseOld, OpPublish, OpBump, OpHealAll},
	{OpEdit, OpPublish, OpDelete, OpPublish, OpPart, OpWait, OpEraseOld, OpPublish, OpEdit, OpPublish, OpHealAll},
	{OpEdit, OpPublish, OpRotGuard, OpKill, OpStart, OpEdit, OpPublish},
	{OpEdit, OpPublish, OpBackup, OpEdit, OpPublish, OpRotGuard, OpPart, OpRestore, OpEdit, OpPublish, OpHealAll},
}

// gambit makes the steps of a sequence.
func (p *Plan) gambit(rng *rand.Rand, g []Op) (out []Step) {
	who := rng.IntN(p.Nodes)
	for _, op := range g {
		s := p.draw(rng, op)
		s.A = who
		if op == OpPart {
			s.N = 1 << who
		}
		if op == OpCorrupt && rng.IntN(2) == 0 {
			s.B = who
		}
		out = append(out, s)
	}
	return out
}

// number draws the N of an op.
func (o Op) number(rng *rand.Rand, nodes int) int {
	switch o {
	case OpEdit, OpCopyEdit:
		return 1 + rng.IntN(4)
	case OpDelete, OpErase, OpEraseOld:
		return 1 + rng.IntN(2)
	case OpBulk:
		return 22 + rng.IntN(20)
	case OpCrash, OpCorrupt, OpRotGuard:
		return rng.IntN(2)
	case OpPart:
		return 1 + rng.IntN(1<<(nodes+1)-2)
	case OpClock:
		return []int{-60 * 24 * 400, -90, -11, 3, 12, 90, 60 * 26, 60 * 24 * 40}[rng.IntN(8)]
	case OpLie:
		return 1 + rng.IntN(1<<len(lies)-1)
	case OpWait:
		return 10 + rng.IntN(50)
	}
	return 0
}

// ops are all ops, in a fixed order: maps have none.
var ops = []Op{
	OpEdit, OpPublish, OpWait, OpDelete, OpErase, OpBulk, OpNothing, OpCut, OpCutOneWay, OpPart, OpHeal, OpHealAll, OpKill, OpStart, OpCrash,
	OpBackup, OpRestore, OpRewind, OpLose, OpClone, OpSteal, OpUnclone, OpCopyEdit, OpCopyPub, OpRotate, OpRevoke, OpBump, OpAnchor,
	OpSuspend, OpResume, OpCorrupt, OpForget, OpClock, OpFull, OpFree, OpLie, OpHonest, OpEraseOld, OpRotGuard, OpRotDocket,
}
