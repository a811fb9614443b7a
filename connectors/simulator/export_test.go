package simulator

// Pulse lets every market go on until a time, Unix ns.
func (s *Server) Pulse(t int64) {
	for _, h := range s.hosts {
		h.pulse(t)
	}
}

// Queued is how many bytes wait for the sockets.
func (s *Server) Queued() (n int) {
	for _, h := range s.hosts {
		h.mu.Lock()
		for c := range h.sockets {
			c.mu.Lock()
			n += len(c.queue)
			c.mu.Unlock()
		}
		h.mu.Unlock()
	}
	return n
}

// Frames is how many frames were sent or lost so far.
func (s *Server) Frames() (n int64) {
	for _, h := range s.hosts {
		h.mu.Lock()
		for c := range h.sockets {
			for _, list := range c.listeners {
				for _, l := range list {
					n += l.frames
				}
			}
		}
		h.mu.Unlock()
	}
	return n
}
