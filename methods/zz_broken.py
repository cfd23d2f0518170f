from bench.api import Method


class Broken(Method):
    title = 'Broken'
    obfuscates = ('gender',)

    def _protect(self, images, request):
        return images * 9
