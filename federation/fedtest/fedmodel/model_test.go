package fedmodel_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/fedtest/fedmodel"
)

var (
	seed   = flag.Uint64("seed", 0, "play the plan of this seed and no other")
	plan   = flag.String("plan", "", "play the plan in this file and no other")
	shrink = flag.Int("shrink", 0, "cut a plan that fails down, in at most so many runs")
	tell   = flag.Bool("tell", false, "print what happens, and what the nodes log")
	steps  = flag.Int("steps", 40, "how many steps a plan has")
)

// TestModel plays random plans against the model: a few on a user's machine and
// with -short, a hundred and thirty where CI is set, and as many as WAYMARK_SEEDS says. A seed that fails
// is played again with
//
//	go test ./federation/fedtest/fedmodel -run TestModel -seed N -shrink 100
func TestModel(t *testing.T) {
	if *plan != "" {
		text, err := os.ReadFile(*plan)
		if err != nil {
			t.Fatal(err)
		}
		p, err := fedmodel.ParsePlan(string(text))
		if err != nil {
			t.Fatal(err)
		}
		play(t, p)
		return
	}
	if *seed != 0 {
		play(t, fedmodel.Generate(*seed, *steps))
		return
	}
	// Always the same ones, so that a change is judged by what it changed.
	first, late := 8, 4
	if os.Getenv("CI") != "" && !testing.Short() {
		first, late = 100, 30
	}
	if many, err := strconv.Atoi(os.Getenv("WAYMARK_SEEDS")); err == nil && many > 0 {
		playSeeds(t, fedmodel.FirstSeeds+rand.Uint64N(1<<40)+1, many)
		return
	}
	playSeeds(t, 1, first)
	playSeeds(t, fedmodel.FirstSeeds+1, late)
}

// playSeeds plays the plans of n seeds.
func playSeeds(t *testing.T, first uint64, n int) {
	t.Logf("seeds %d to %d", first, first+uint64(n)-1)
	for i := range n {
		p := fedmodel.Generate(first+uint64(i), *steps)
		t.Run(fmt.Sprint("seed=", p.Seed), func(t *testing.T) {
			t.Parallel()
			play(t, p)
		})
	}
}

// TestLearned plays the plans that once failed.
func TestLearned(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no plans", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := fedmodel.ParsePlan(string(text))
			if err != nil {
				t.Fatal(err)
			}
			play(t, p)
		})
	}
}

func play(t *testing.T, p fedmodel.Plan) {
	t.Helper()
	err := run(t, p)
	if err == nil {
		return
	}
	t.Error(err)
	if *shrink > 0 {
		var last error
		less := fedmodel.Shrink(p, *shrink, func(p fedmodel.Plan) bool {
			err := run(t, p)
			if err != nil {
				last = err
			}
			return err != nil
		})
		t.Errorf("%d of %d steps are enough:\n%s\n%v", len(less.Steps), len(p.Steps), less, last)
	}
}

func run(t *testing.T, p fedmodel.Plan) error {
	t.Helper()
	o := fedmodel.Options{NewDisk: fedmodel.NewMemory, TempDir: memoryDir()}
	if *tell {
		o.Trace = func(line string) { fmt.Println(line) }
		o.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	err := fedmodel.Play(t, o, p)
	var broken *fedmodel.Broken
	if err != nil && !errors.As(err, &broken) {
		t.Fatal(err)
	}
	return err
}

// memoryDir is a directory that lies in memory, where there is one: a sync to a
// disk for each publish is most of the time of a plan.
func memoryDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}
