package replication_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// FuzzTwoReplicas: whatever the owner does, and whoever can reach whom meanwhile,
// two replicas hold just what the owner signed last as soon as all can talk: the
// same root, kept by increments, as computed from scratch.
func FuzzTwoReplicas(f *testing.F) {
	f.Add([]byte{0x01, 0x11, 0x05, 0x21, 0x05, 0x07, 0x15, 0x12, 0x05, 0x06, 0x05})
	f.Add([]byte{0x01, 0x05, 0x06, 0x11, 0x05, 0x16, 0x02, 0x05, 0x07, 0x07, 0x26, 0x06, 0x05})
	f.Add([]byte{0x01, 0x05, 0x03, 0x05, 0x06, 0x16, 0x26, 0x01, 0x04, 0x05, 0x07, 0x26, 0x31, 0x05, 0x57})
	random := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		script := make([]byte, 10+random.IntN(50))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(converge)
}

func converge(t *testing.T, script []byte) {
	if len(script) > 60 {
		return
	}
	scene(t, func(p *play) {
		ada, ben, cyd := p.node("ada"), p.node("ben"), p.node("cyd")
		a := p.f.Author("ada")
		ada.publish(a.Fill(0, 30, "first"))
		hosts := [][2]string{{"ada", "ben"}, {"ada", "cyd"}, {"ben", "cyd"}}
		cut := make([]bool, len(hosts))
		changed := false
		publish := func() {
			if changed {
				v := ada.publish(a)
				go ada.rep.Announce(context.Background(), v)
			}
			changed = false
		}
		for i, b := range script {
			key, way := feedtest.RecordKey(int(b>>4)), int(b>>4)%len(hosts)
			switch b & 7 {
			case 0, 1:
				a.Put(key, string([]byte{'v', byte(i)}))
				changed = true
			case 2, 3, 4:
				if a.Raw(key) == nil {
					continue
				}
				if changed = true; b&7 == 2 {
					a.Erase(key)
				} else {
					a.Delete(key)
				}
			case 5:
				publish()
			case 6:
				if cut[way] = !cut[way]; cut[way] {
					p.net.Cut(hosts[way][0], hosts[way][1])
				} else {
					p.net.Heal(hosts[way][0], hosts[way][1])
				}
			case 7:
				time.Sleep(time.Duration(b>>4) * 10 * time.Second)
			}
		}
		publish()
		p.net.HealAll()
		p.synced(20*time.Minute, a, ada, ben, cyd)
		for _, n := range []*node{ben, cyd} {
			if len(n.rep.Refused()) > 0 {
				t.Errorf("an honest peer was refused: %v", n.rep.Refused())
			}
		}
	})
}
