"""
Your own environment
====================

Any environment with gymnasium's interface is a task. This one is a cart on a hill that has to stop at the
top. From a file: ``task={name='gymnasium', environment='hill.py:Hill-v0'}``.
"""

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

import hyperevo as he

torch.set_num_threads(1)


class Hill(gym.Env):
    """Push a cart that rolls off a hill so that it stays at its top."""

    observation_space = gym.spaces.Box(-3, 3, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-0.5, 0.5, 2)
        return self.state.astype(np.float32), {}

    def step(self, action):
        place, speed = self.state
        speed = 0.98 * speed + 0.1 * (np.sin(place) + 1.5 * float(action[0]))
        self.state = np.clip([place + 0.1 * speed, speed], -3, 3)
        return self.state.astype(np.float32), 1.0 - abs(self.state[0]), False, False, {}


gym.register("Hill-v0", Hill, max_episode_steps=60)
task = he.task("gymnasium", environment="Hill-v0", episodes=2)
net = he.target("mlp", task, hidden=[])
print(task, net)

# %%
# Whole populations act at once; fitness is the mean return.

code = he.encoding("direct", net)
es = he.search("snes", code, population=24, deviation=1.0, seed=0)
for generation in range(40):
    fitness = he.fitness(code, net, task, es.ask(), batch=generation)
    es.tell(fitness)
print(f"mean return {float(fitness.mean()):.1f} of at most 60;", he.test(code, net, task, es.candidates()))

# %%
# The champion at work, from five starts:

hill = Hill()
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
module = net.module(code.express(es.candidates()).network(0))
for seed in range(5):
    seen, places = hill.reset(seed=seed)[0], []
    for _ in range(60):
        with torch.no_grad():
            push = module(torch.from_numpy(seen)[None]).tanh()[0]
        seen = hill.step(push.numpy())[0]
        places.append(float(seen[0]))
    axes.plot(places)
axes.set(xlabel="step", ylabel="place of the cart", title="Back to the top from five starts")
print(f"the last run ends {abs(places[-1]):.2f} from the top")
