package pull

// MaxPullsPerHost limits concurrent decisions about images of one registry.
const MaxPullsPerHost = maxPullsPerHost

// Limited returns how many decisions the gate counts as in progress, and of how many registries.
func (g *Gate) Limited() (total, hosts int) {
	g.limiter.mu.Lock()
	defer g.limiter.mu.Unlock()
	return g.limiter.total, len(g.limiter.perHost)
}
