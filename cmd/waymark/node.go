package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/nodetest"
)

// makeNode makes the keys and the configuration of a new node.
func makeNode(dir string, c config.Config) error { return node.Init(dir, c) }

// makeMachine makes a further machine of a member country, and answers with the
// file in which it asks for its place.
func makeMachine(dir string, c config.Config, t *enroll.Ticket, instead bool, by *identity.Key) (string, error) {
	return node.InitMachine(dir, c, t, instead, by)
}

// serve runs the node and calls ready once, when it answers.
func serve(ctx context.Context, dir string, c config.Config, log *slog.Logger, ready func()) error {
	n, err := node.New(node.Options{Dir: dir, Config: c, Logger: log})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-n.Ready():
			ready()
		case <-ended:
		}
	}()
	err = n.Run(ctx)
	close(ended)
	<-told
	return err
}

func found(ctx context.Context, dir string, c config.Config, _ *slog.Logger, name string) error {
	return node.Found(ctx, dir, c, name, false)
}

// joinOffline joins while the node is stopped.
func joinOffline(ctx context.Context, dir string, c config.Config, _ *slog.Logger, invitation string) (control.Joined, error) {
	return node.Join(ctx, dir, c, invitation)
}

// requestOffline makes a request to be carried while the node is stopped.
func requestOffline(dir string, c config.Config, invitation string) (control.JoinRequest, error) {
	return node.RequestJoin(dir, c, invitation)
}

type demoOptions struct {
	Countries []string
	Listings  int
	Dir       string
	BasePort  int
	Out, Err  io.Writer
}

func demo(ctx context.Context, o demoOptions) error {
	return nodetest.Demo(ctx, nodetest.DemoOptions{
		Countries: o.Countries, Listings: o.Listings, Dir: o.Dir, BasePort: o.BasePort, Out: o.Out,
		Logger: slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}
