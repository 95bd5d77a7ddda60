package node

import "context"

// FinishRekey looks now whether a change of keys is due; a node does it every
// minute.
func FinishRekey(ctx context.Context, n *Node) { n.finishRekey(ctx) }
