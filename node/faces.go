package node

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/web"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
)

// newWeb builds what readers and monitors see.
func (n *Node) newWeb() (*web.Server, error) {
	metrics, err := n.metrics()
	if err != nil {
		return nil, err
	}
	o := web.Options{
		Public: n.public, Ops: n.ops, Catalog: n, Locale: n.locale, Operator: n.operator,
		BaseURL: n.o.Config.Public.URL, Demo: n.demo(), Cadence: n.cadence, Vocabulary: n.hsdsVocabulary, Now: n.o.Now,
		CutOff: n.cutOff, Reports: (*reporter)(n), ReportText: n.o.Config.Public.ReportText,
		Changes: n.catalog.Latest, SecurityContact: n.o.Config.Public.SecurityContact, Accessibility: accessibility(n.o.Config.Accessibility), Ready: n.isReady, Metrics: metrics, Logger: n.o.Logger,
	}
	if n.o.Config.Public.FHIR {
		o.FHIR = n
	}
	return web.New(o)
}

// accessibility is what the operator adds to the statement.
func accessibility(a config.Accessibility) public.Accessibility {
	texts := func(list config.Texts) (out []public.Wording) {
		for _, t := range list {
			out = append(out, public.Wording(t))
		}
		return out
	}
	return public.Accessibility{Prepared: a.Prepared, Reviewed: a.Reviewed, Contact: texts(a.Contact), Enforcement: texts(a.Enforcement), Gaps: texts(a.Gaps)}
}

// demo reports whether everything here is fictional: the federation was founded
// as a demonstration.
func (n *Node) demo() bool {
	if s := n.state(); s != nil {
		return s.Demo()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.join != nil && n.join.Demo || n.known != nil && n.known.Demo
}

// operator says who runs this node, for the foot of every page.
func (n *Node) operator() page.Operator {
	c := n.o.Config
	out := page.Operator{Name: c.Operator, Country: c.Country, Contact: c.OperatorContact}
	if c.OperatorUses != "" {
		out.Services = []string{c.OperatorUses}
	}
	if self, ok := n.self(); ok {
		out.Authority = self.OperatorType == registry.OperatorPoliceJustice || self.OperatorType == registry.OperatorPublicAuthority
	}
	return out
}

// quietHours is how long nothing may be heard of any other country before this
// node takes itself to be cut off: they confirm their lists every hour.
const quietHours = 3 * time.Hour

// cutOff reports whether this node reaches no other. One that does not gossip
// knows it by what it hears.
func (n *Node) cutOff() bool {
	if len(n.alive()) > 0 {
		return false
	}
	s := n.state()
	if s == nil {
		return true
	}
	others := false
	for _, m := range s.Members() {
		if m.Country == n.o.Config.Country {
			continue
		}
		if n.now().Sub(n.catalog.AsOf(m.Origin)) < quietHours {
			return false
		}
		others = true
	}
	return others
}

// isReady is for load balancers: a node that is cut off, or may not write,
// still answers readers.
func (n *Node) isReady() (bool, string) {
	if err := n.store.Room(); err != nil {
		return true, "nothing can be written"
	}
	if p := n.publisher.Load(); p != nil && (p.Quarantined() != nil || p.Forked()) {
		return true, "nothing can be published"
	}
	return true, ""
}

// metrics are about the node and its federation. There are none about readers.
func (n *Node) metrics() (http.Handler, error) {
	reg := prometheus.NewRegistry()
	err := errors.Join(
		reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		reg.Register(&federationMetrics{n}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), err
}

var (
	descListings = prometheus.NewDesc("waymark_listings", "Listings that this node can show.", nil, nil)
	descSeq      = prometheus.NewDesc("waymark_registry_entries", "Entries of the shared registry that this node holds.", nil, nil)
	descQuorum   = prometheus.NewDesc("waymark_registry_quorum", "1 when the shared registry can be changed.", nil, nil)
	descHead     = prometheus.NewDesc("waymark_feed_head", "Number of the newest head held of a country's feed.", []string{"country"}, nil)
	descAsOf     = prometheus.NewDesc("waymark_feed_confirmed_timestamp_seconds", "When a country last confirmed its feed.", []string{"country"}, nil)
	descRefused  = prometheus.NewDesc("waymark_refused_total", "What peers sent and was turned away, by kind.", []string{"what"}, nil)
	descTraffic  = prometheus.NewDesc("waymark_replication_bytes_total", "Bytes of feeds that travelled between nodes, by call and direction.", []string{"call", "direction"}, nil)
	descStore    = prometheus.NewDesc("waymark_store_bytes", "Size of the node's data on disk.", nil, nil)
)

// federationMetrics collects when it is asked.
type federationMetrics struct{ n *Node }

// Describe implements [prometheus.Collector].
func (m *federationMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descListings, descSeq, descQuorum, descHead, descAsOf, descRefused, descTraffic, descStore} {
		ch <- d
	}
}

// metricsAge is how old the gauge of the quorum may be: asking takes a message to
// another node.
const metricsAge = time.Minute

// Collect implements [prometheus.Collector].
func (m *federationMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descListings, float64(m.n.index.Len()))
	gauge(descStore, float64(m.n.store.Size()))
	gauge(descSeq, float64(m.n.registrySeq()))
	quorum := 0.0
	if k := m.n.keeper.Load(); k != nil && k.Fresh(context.Background(), metricsAge).Quorum {
		quorum = 1
	}
	gauge(descQuorum, quorum)
	if s := m.n.state(); s != nil {
		for _, member := range s.Members() {
			st := m.n.memberStatus(member, 0)
			if st.Head != nil {
				gauge(descHead, float64(st.Head.N), member.Country)
			}
			if st.AsOf != nil {
				gauge(descAsOf, float64(st.AsOf.Unix()), member.Country)
			}
		}
	}
	for call, t := range m.n.Traffic() {
		ch <- prometheus.MustNewConstMetric(descTraffic, prometheus.CounterValue, float64(t.Sent), call, "sent")
		ch <- prometheus.MustNewConstMetric(descTraffic, prometheus.CounterValue, float64(t.Received), call, "received")
	}
	for what, count := range m.n.refused() {
		ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(count), what)
	}
}

// refused is how many things of each kind peers sent in vain.
func (n *Node) refused() map[string]uint64 {
	out := make(map[string]uint64)
	for reason, count := range n.transport.Stats().Refused {
		out["connection_"+strings.ReplaceAll(string(reason), " ", "_")] += count
	}
	if r := n.replicator.Load(); r != nil {
		for what, count := range r.Refused() {
			out[what] += count
		}
	}
	return out
}
